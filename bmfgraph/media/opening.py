"""Open video files, and no other files or addresses that they name.

FFmpeg chooses a demuxer by a file's content. Some of them, for playlists and descriptions of streams, open other files
and addresses. So only formats that hold all their data themselves are accepted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bmfgraph.system.untrusted import open_regular

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Protocol", "ffmpeg_name", "is_playlist", "open_video", "opening_options"]

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


def opening_options(protocols: Iterable[Protocol] = ()) -> dict[str, str]:
    """Return the options of FFmpeg's demuxers that keep them from opening anything but the file.

    Args:
        protocols: What the file, a playlist, may open besides.
    """
    allowed = tuple(protocols)
    needed = dict.fromkeys(("file", *(name for protocol in allowed for name in _NEEDED[protocol])))
    options = {
        "format_whitelist": f"{_FORMATS},{_PLAYLISTS}" if allowed else _FORMATS,
        "protocol_whitelist": ",".join(needed),
        # A picture's name with %d is no pattern for the names of others.
        "pattern_type": "none",
    }
    return options | ({"rw_timeout": f"{_SILENCE}000000"} if "tcp" in needed else {})


def open_video(path: Path | str, protocols: Iterable[Protocol] = ()) -> InputContainer:
    """Open a file with PyAV for reading.

    Args:
        path: The file.
        protocols: What the file, a playlist, may open besides.

    Raises:
        av.FFmpegError: It cannot be opened, or has a format that is not read.
        OSError: It is missing, or a pipe or a device, which FFmpeg would wait for.
    """
    import av

    open_regular(path).close()
    return av.open(ffmpeg_name(path), options=opening_options(protocols), metadata_errors="replace")


def ffmpeg_name(path: Path | str) -> str:
    """Return a name by which FFmpeg opens that file: it takes what stands before a colon for a protocol."""
    # resolve() would follow links.
    return os.path.abspath(path) if ":" in str(path) else str(path)  # noqa: PTH100


def is_playlist(path: Path) -> bool:
    """Return whether a file looks like a list of other files or addresses."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return head.startswith((b"#EXTM3U", b"ffconcat version", b"v=0")) or b"<MPD" in head
