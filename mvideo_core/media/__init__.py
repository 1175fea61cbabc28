"""Clips show what a video player would show:

- **Stream**: the default video stream; the largest if several are marked as default. Cover art, thumbnails and
  attachments are never used.
- **Time** counts from the start of the file's earliest stream. Edit lists and variable frame rates are respected.
- **Interlacing**: frames flagged as interlaced are deinterlaced. Fix wrongly flagged files first.
- **Shape**: rotation and non-square pixels are applied before `cut.fit`.
- **Color**: clips are 4:2:0, bt709, limited range. Untagged files with at least 720 lines or 1280 columns are read as
  bt709, smaller ones as bt601. HDR (PQ, HLG) is tone-mapped, which needs an ffmpeg with zscale and tonemap, such as
  that of imageio-ffmpeg. YCgCo, ICtCp and constant luminance are refused.
- **Damage**: a clip with other colors than the source (`cut.max_color_shift`) or damaged pictures
  (`cut.max_clip_errors`) is dropped; a video with more than `cut.max_decode_errors` decoder complaints is refused.
  Damage that FFmpeg does not report is not found.
- **Containers**: MP4/MOV, Matroska/WebM, AVI, MPEG-TS, FLV, Ogg.

Source files are untrusted: they are opened read-only, in a child process with limits on memory and time. Only known
containers and the `file` protocol are allowed. Links that lead out of the source folder are refused. Each bad file
becomes a row that states the reason.
"""
