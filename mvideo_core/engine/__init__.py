"""While a stage works on a part, it records each finished item in the part's journal. After a kill, the next run skips
these items.

- A file gets its final name only when it is complete. A damaged journal line is moved to `<journal>.bad` and logged,
  and its item is processed again.
- An item on which the process died 8 times without an exception becomes a `failed` row (`WorkerDied`).
- One live process owns a part at a time: it holds a file lock or, on an object store, a lease.
- A full disk stops the part; the next run resumes it.

On a CPU, the same videos, options and packages give the same dataset digest on every Intel machine with AVX2, unless
`MVIDEO_CPU_KERNELS=native` allows faster kernels. On an AMD EPYC, the digest differs from Intel's, but is the same in
each run. On a GPU, results repeat only on the same GPU model and driver.
"""

from mvideo_core.engine.stages import Stages

STAGES = Stages(package="mvideo_core.curation.stages", entry_points="mvideo.stages")
