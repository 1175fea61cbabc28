"""A workspace can have an fsspec URL such as `s3://bucket/ws`; datasets and latents can be read from such URLs, too.

- The process that works on a part holds a lease on it. If the lease is not renewed for 45 s, another process can take
  over the part.
- A part is published once, even if a host loses its connection and returns later: files are written with conditional
  puts (`If-None-Match: *`), and the first marker counts. S3, Google Cloud Storage and recent MinIO support conditional
  puts. With a store that does not, two processes that write at the same moment can both succeed.
- Inputs are copied to TMPDIR; leftovers of a killed process are removed at the next start on that machine.
- Interrupted multipart uploads take up space, but S3 listings do not show them. `mvideo gc --delete` aborts uploads
  under the workspace that are older than a day (`--min-age-h`).
"""
