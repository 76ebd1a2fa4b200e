# Opens a run folder with TensorBoard's own reader: python check_tfevents.py RUN [TAG...]. Fails when a tag is missing.
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

acc = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
acc.Reload()
tags = acc.Tags()
for tag in sys.argv[2:] or ["train/loss", "valid/loss"]:
    assert tag in tags["scalars"], (tag, tags)
for tag in tags["scalars"]:
    events = acc.Scalars(tag)
    steps = [e.step for e in events]
    assert steps == sorted(steps), (tag, steps)
    print(f"{tag}: {len(events)} values, step {steps[0]} to {steps[-1]}, last {events[-1].value:.6g}")
for tag in tags["tensors"]:
    print(f"{tag}: {len(acc.Tensors(tag))} texts")
