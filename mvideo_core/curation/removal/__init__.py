"""`mvideo forget --apply` removes what was derived from a source, in this order:

1. An unfinished certificate is written. It lists everything that was found, with the digest of each file.
2. The source is removed from the plan, and a reviewer's decisions about its clips are deleted. `forgotten.json` keeps
   salted digests of the file and its URL, so that later plans leave it out under any name.
3. The stages run again, including those that write shards, latents and the report. They use the options of the last
   run and reuse the rows of other sources.
4. Everything that is no longer referenced is deleted, as by `mvideo gc --delete`: older datasets, latents and reports,
   and the rows of switched-off stages that mention the source.
5. Every file is searched for the source's ids: file names, text, tables and the contents of tars. Of other sources'
   clip and mask files, which hold only pixels, only the names are searched. If a file still mentions the source, the
   command stops and names it.
6. The certificate is finished: what was touched, the digests before and after, and the number of files searched.
"""
