#!/bin/bash
# Gathers the pictures and clips that training_pictures.tsv and training_clips.tsv list under the folder $1
# (default: src), for prepare_data and cut_clips.
#
# Needs apt (Debian bookworm for the listed versions), pip, python3 and git.
# REPOSITORIES: folder of git clones named owner+name; missing ones are cloned into it (default: $1/repositories).
set -euo pipefail

here=$(dirname "$(realpath "$0")")
out=$(realpath -m "${1:-src}")
repositories=$(realpath -m "${REPOSITORIES:-$out/repositories}")
mkdir -p "$out"/{debian,github,pypi}
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
cd "$downloads"

listed() { cut -d/ -f1,2 "$here/training_pictures.tsv" | sed -n "s|^$1/||p" | sort -u; }

for package in $(listed debian); do
    apt-get download -q "$package"
    dpkg -x "${package%%=*}"_*.deb "$out/debian/$package"
done
for package in $(listed pypi); do
    pip download -q --no-deps "$package" -d "$package"
    python3 -m zipfile -e "$package"/*.whl "$out/pypi/$package"
done
python3 "$here/extract_git.py" --repositories "$repositories" --out "$out"
