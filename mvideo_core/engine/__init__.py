"""A run that was killed continues with the first item that is missing from the part's journal.

- A file gets its final name only when it is complete. A damaged journal line is moved to `<journal>.bad`, logged, and
  its item is processed again.
- An item on which the process died 8 times without an exception becomes a `failed` row (`WorkerDied`).
- One live process owns a part at a time: it holds a file lock or, on an object store, a lease. A full disk stops the
  part; the next run resumes.

On a CPU, the same videos, options and packages give the same dataset digest on every Intel machine with AVX2
(`MVIDEO_CPU_KERNELS=native` allows faster kernels and gives this up). On an AMD EPYC, the digest differs from Intel's,
but is the same in each run. GPU results repeat only on the same GPU model and driver.
"""

from mvideo_core.engine.stages import Stages

STAGES = Stages(package="mvideo_core.curation.stages", entry_points="mvideo.stages")
