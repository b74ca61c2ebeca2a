#!/bin/bash
# Gathers the training pictures under the folder $1 (default: src), for prepare_data.
#
# Needs apt (Debian bookworm; the versions named below may have left the archive since), pip, unzip and git.
# SID_APT_CONF: an apt.conf of a newer Debian suite, for two packages that are left out where apt does not find them.
# REPOSITORIES: folder of git clones named owner+name; missing ones are cloned into it (default: $1/repositories).
set -euo pipefail

here=$(dirname "$(realpath "$0")")
out=$(realpath -m "${1:-src}")
repositories=$(realpath -m "${REPOSITORIES:-$out/repositories}")

mkdir -p "$out"/{deb,git,skimage,sklearn}
cd "$out/deb"

apt-get download \
    gnome-backgrounds=43.1-1 \
    mate-backgrounds=1.26.0-1 \
    plasma-workspace-wallpapers=4:5.27.5-2 \
    ukui-wallpapers=20.04.3-1.1 \
    lomiri-wallpapers-16.04=20.04.0-2 \
    lomiri-wallpapers-20.04=20.04.0-2
newer=(plasma-workspace-wallpapers=4:6.7.4-1 palapeli-data=4:26.08.2-1)
apt-get ${SID_APT_CONF:+-c "$SID_APT_CONF"} download "${newer[@]}" || echo "left out: ${newer[*]}" >&2
for package in *.deb; do
    dpkg -x "$package" "$out/$(basename "$package" .deb)"
done

pip download -q --no-deps scikit-learn==1.9.1 scikit-image==0.26.0 -d wheels
unzip -o -j -q wheels/scikit_learn*.whl 'sklearn/datasets/images/*.jpg' -d "$out/sklearn"
unzip -o -j -q wheels/scikit_image*.whl \
    skimage/data/{astronaut,chelsea,coffee,brick,grass,gravel}.png skimage/data/rocket.jpg -d "$out/skimage"

python3 "$here/extract_git.py" --repositories "$repositories" --out "$out/git"
