"""Open video files, and no other files or addresses that they name.

FFmpeg chooses a demuxer by a file's content. Some of them, for playlists and descriptions of streams, open other files
and addresses. So only formats that hold all their data themselves are accepted.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bmfgraph.media.picture_files import open_pictures, picture_files
from bmfgraph.media.pipes import PipeReader, is_pipe, pipe_at
from bmfgraph.system.untrusted import open_regular

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Protocol", "ffmpeg_name", "format_of", "is_playlist", "is_url", "open_video", "opening_options"]

Protocol = Literal["file", "http", "https", "crypto", "data"]

_FORMATS = (
    # containers
    "mov,matroska,avi,mpegts,mpegtsraw,mpeg,flv,live_flv,kux,ogg,asf,asf_o,mxf,gxf,lxf,nut,nuv,nsv,ivf,wtv,rm,dv,swf,"
    "smjpeg,pva,ty,dhav,cine,rpl,r3d,thp,flic,smk,bink,roq,film_cpk,vmd,4xm,cdxl,xmv,ea,idcin,wc3movie,"
    # video without a container
    "mjpeg,mjpeg_2000,mpegvideo,m4v,h261,h263,h264,hevc,vvc,evc,av1,obu,vc1,vc1test,cavsvideo,avs2,avs3,dirac,dnxhd,"
    "yuv4mpegpipe,"
    # pictures
    "gif,apng,ico,jpegxl_anim,webp,webp_anim,fits,image2,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gem_pipe,gif_pipe,"
    "hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,"
    "pgmyuv_pipe,phm_pipe,pictor_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe,"
    "xbm_pipe,xpm_pipe,xwd_pipe,"
    # sound, for the message that a file has no video
    "aac,ac3,aiff,caf,eac3,flac,mp3,w64,wav,wv"
)
"""Names of FFmpeg 4 and later."""
_PLAYLISTS = "concat,dash,hls"
_NEEDED: dict[Protocol, tuple[str, ...]] = {
    "file": ("file",),
    "http": ("http", "tcp", "httpproxy"),
    "https": ("https", "tls", "tcp", "httpproxy"),
    "crypto": ("crypto",),
    "data": ("data",),
}
"""FFmpeg's protocols that each of ours needs."""
_SILENCE = 60
"""Seconds without any byte from a server."""
_HEAD = 4096
"""Bytes in which a playlist shows."""
_URL = re.compile(r"(https?)://", re.IGNORECASE)


def is_url(path: Path | str) -> bool:
    """Return whether a name is an address on the web."""
    return bool(_URL.match(str(path)))


def opening_options(protocols: Iterable[Protocol] = (), path: Path | str = "") -> dict[str, str]:
    """Return the options of FFmpeg's demuxers that keep them from opening anything but the file.

    Args:
        protocols: What the file, a playlist, may open besides.
        path: The file or URL itself.
    """
    allowed = tuple(protocols)
    # A server may redirect to the other protocol.
    own: tuple[Protocol, ...] = ("http", "https") if is_url(path) else ("file",)
    needed = dict.fromkeys(name for protocol in (*own, *allowed) for name in _NEEDED[protocol])
    options = {
        "format_whitelist": f"{_FORMATS},{_PLAYLISTS}" if allowed else _FORMATS,
        "protocol_whitelist": ",".join(needed),
        # A picture's name with %d is no pattern for the names of others.
        "pattern_type": "none",
    }
    if "tcp" in needed:
        options |= {"rw_timeout": f"{round(_SILENCE * 1_000_000)}", "tls_verify": "1"}
        if certificates := _certificates():
            options["ca_file"] = certificates
    if is_url(path):
        # A slow pipeline reads slowly, and servers close such connections.
        options |= {"reconnect": "1", "reconnect_delay_max": "8"}
    return options


def open_video(
    path: Path | str,
    protocols: Iterable[Protocol] = (),
    rate: Fraction | None = None,
    *,
    whole: bool = False,
    hwaccel: str = "none",
) -> InputContainer:
    """Open a clip with PyAV for reading.

    Args:
        path: A file, an address, several pictures (see :func:`picture_files`), or a pipe.
        protocols: What the file, a playlist, may open besides.
        rate: Frames per second of pictures; None for 25.
        whole: Read a pipe to its end. Otherwise only its first bytes are seen, and stay for the next reader.
        hwaccel: The hardware that decodes a file, such as ``cuda``; its frames come to the CPU.

    Raises:
        av.FFmpegError: It cannot be opened, or has a format that is not read.
        OSError: It is missing, or a device, which FFmpeg would wait for.
        MediaError: A picture is missing, or the pipe was read already.
    """
    import av

    options = opening_options(protocols, path)
    if is_url(path):
        return av.open(str(path), options=options, metadata_errors="replace")
    if is_pipe(path):
        return av.open(PipeReader(pipe_at(path), whole=whole), "r", options=options, metadata_errors="replace")
    if (files := picture_files(path)) is not None:
        return open_pictures(files, rate, options)
    open_regular(path).close()
    if rate is not None:
        options["framerate"] = f"{rate.numerator}/{rate.denominator}"
    return av.open(ffmpeg_name(path), options=options, metadata_errors="replace", hwaccel=_hardware(hwaccel))


def format_of(container: Any) -> str:
    """Return FFmpeg's first name of the format of an open file, such as ``mov`` or ``matroska``."""
    return str(container.format.name).partition(",")[0]


def _hardware(name: str) -> Any:
    if name == "none":
        return None
    from av.codec.hwaccel import HWAccel

    return HWAccel(device_type=name, allow_software_fallback=False)


def ffmpeg_name(path: Path | str) -> str:
    """Return a name by which FFmpeg opens that file: it takes what stands before a colon for a protocol."""
    # resolve() would follow links.
    return os.path.abspath(path) if ":" in str(path) else str(path)  # noqa: PTH100


@functools.cache
def _certificates() -> str | None:
    """Return the file of the certificates that this system trusts; FFmpeg does not look for it."""
    import ssl

    return ssl.get_default_verify_paths().cafile


def is_playlist(path: Path | str) -> bool:
    """Return whether a file looks like a list of other files or addresses."""
    if is_url(path):
        return str(path).partition("?")[0].endswith((".m3u8", ".mpd"))
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return head.startswith((b"#EXTM3U", b"ffconcat version", b"v=0")) or b"<MPD" in head
