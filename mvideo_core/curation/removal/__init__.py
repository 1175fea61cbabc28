"""`mvideo forget --apply` removes what was derived from a source, in this order:

1. the certificate is written, unfinished: all that was found, with the digest of each file;
2. the source is removed from the plan, and a reviewer's decisions about its clips are deleted. `forgotten.json` keeps
   salted digests of the file and its URL, so that later plans leave it out under any name;
3. stages, shards, latents and report run again, with the options they were made with, and reuse the rows of other
   sources;
4. everything unreferenced is deleted, as by `mvideo gc --delete`, including older datasets, latents and reports, and
   the rows of switched-off stages that mention the source;
5. every file is searched for the ids of the source: names, text, tables, tars (of other sources' clips and masks, which
   hold only pixels, the names). If a file still mentions the source, the command stops and names it;
6. the certificate is finished: what was touched, digests before and after, the number of files searched.
"""
