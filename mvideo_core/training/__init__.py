"""LoRA training of MVideo (paper, sections 3.4 and 4.1). A run is one folder:

    options.yaml            the options, defaults filled in
    metrics.jsonl           one line per logged step
    checkpoints/step-.../   what a run resumes from, and the adapter
    samples/step-.../*.mp4  videos of held-out samples
    report.json, curves.svg at the end, or by `mvideo train report`
    launch/, errors/        output and errors of the processes
    stop                    create this file to stop the run

If the folder has a checkpoint, `mvideo train run` resumes from it.
"""

# Options, launcher and report do not import torch; the rest loads it inside the function that needs it.
