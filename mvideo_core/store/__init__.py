"""`s3://bucket/ws` and similar URLs work for workspaces, and for reading datasets and latents.

- A lease gives each part one owner. If it is not renewed for 45 s, another process can take over.
- A part is published once, even if a host was cut off and then returns: files are written with conditional puts
  (`If-None-Match: *`), and the first marker counts. S3, Google Cloud Storage and recent MinIO support conditional puts.
  If the driver does not, two owners that write at the same moment can both succeed.
- Inputs are copied to TMPDIR; leftovers of a killed process are removed at the next start on that machine.
- S3 listings do not show interrupted multipart uploads. `mvideo gc --delete` aborts uploads under the workspace that
  are older than a day (`--min-age-h`).
"""
