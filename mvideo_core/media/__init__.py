"""Footage is decoded so that clips show what a video player would show:

- **Stream**: the default video stream is used, or the largest one if several are marked as default. Cover art,
  thumbnails and attachments are never used.
- **Time**: counted from the start of the file's earliest stream. Edit lists and variable frame rates are respected.
- **Interlacing**: frames flagged as interlaced are deinterlaced. If a file's flags are wrong, correct them first.
- **Shape**: rotation and the pixel aspect ratio are applied before the picture is fitted to the clip's size
  (`cut.fit`).
- **Color**: clips are 4:2:0, bt709, limited range. Untagged files with at least 720 lines or 1280 columns are read as
  bt709, smaller ones as bt601. HDR (PQ, HLG) is tone-mapped, which needs an ffmpeg with the filters zscale and tonemap,
  such as the one in imageio-ffmpeg. Files in YCgCo, ICtCp or constant luminance are refused.
- **Damage**: a clip is dropped if its colors differ too much from the source's (`cut.max_color_shift`), or if too many
  of its source frames are damaged (`cut.max_clip_errors`). A video with more than `cut.max_decode_errors` decoder
  errors is refused. Damage that FFmpeg does not report is not found.
- **Containers**: MP4/MOV, Matroska/WebM, AVI, MPEG-TS, FLV and Ogg are read.

Source files are untrusted: they are opened read-only, in a child process with limits on memory and time. Only the
containers above and ffmpeg's `file` protocol are allowed. Links that lead out of the source folder are refused. Each
refused file becomes a row with the reason.
"""
