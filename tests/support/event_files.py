"""Logs as others write them, and what TensorBoard's own reader makes of them.

    tensorboard.py write FOLDER     logs with all that the tests ask for
    tensorboard.py read FOLDER      their values as JSON, floating-point numbers as their bits
"""

import hashlib, json, os, struct, sys
import numpy as np


def event_files(folder):
    """TensorFlow 2 and Keras: scalars and images are tensors. PyTorch's SummaryWriter writes with the same class."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.image import metadata as images
    from tensorboard.plugins.scalar import metadata as scalars
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util import tensor_util

    writer = EventFileWriter(folder + "/tf2/train")
    told = set()

    def add(tag, step, array, metadata, wall_time):
        value = summary_pb2.Summary.Value(tag=tag, tensor=tensor_util.make_tensor_proto(array))
        if tag not in told:  # as TensorFlow's writer does
            told.add(tag)
            value.metadata.CopyFrom(metadata)
        summary = summary_pb2.Summary(value=[value])
        writer.add_event(event_pb2.Event(wall_time=wall_time, step=step, summary=summary))

    scalar = scalars.create_summary_metadata(display_name="", description="")
    for step in range(200):
        loss = 2.0 * np.exp(-step / 40) + 0.1 * np.sin(step)
        for kind in [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_]:
            add("loss/" + kind.__name__, step, np.array(loss, dtype=kind), scalar, 1.7e9 + step / 3)
    picture = images.create_summary_metadata(display_name="", description="")
    for step in [0, 9]:
        add("sample", step, np.array([b"2", b"2", png(step)], dtype=object), picture, 1.7e9)
    text = summary_pb2.SummaryMetadata(plugin_data={"plugin_name": "text"})
    add("notes", 0, np.array(b"x" * 3_000_000, dtype=object), text, 1.7e9)
    add("loss/float32", 200, np.array(0.125, dtype=np.float32), scalar, 1.7e9)
    writer.close()

    # What torch.utils.tensorboard.SummaryWriter.add_scalar writes.
    writer = EventFileWriter(folder + "/torch")
    for step in range(3000):
        value = summary_pb2.Summary.Value(tag="train/loss", simple_value=1 / (step + 1))
        writer.add_event(event_pb2.Event(wall_time=1.7e9, step=step, summary=summary_pb2.Summary(value=[value])))
    writer.close()


def png(seed):
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes([seed]) * 16 + b"IEND"


def tensorboardx(folder):
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(folder)
    for step, value in enumerate([1.0, 0.5, float("nan"), float("inf"), -0.25, 1e-30, 3e38]):
        writer.add_scalar("odd values & <tags>|", value, step * 10)
    writer.add_scalar("once", 42, 7)
    writer.add_scalar("ohne Schritt é 结果", 0.75)
    writer.add_histogram("histogram", np.arange(100), 1)
    writer.add_text("text", "some *text*", 1)
    writer.add_image("image", np.zeros((3, 4, 4), dtype=np.uint8), 3)
    writer.add_image("image", np.full((3, 4, 4), 255, dtype=np.uint8), 5)
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 1)
    writer.close()

    # A training that was killed and started again from a checkpoint, twice; more points than are kept.
    for first, last, purge in [(0, 2500, None), (1000, 1500, 1000), (1200, 3000, 1200)]:
        writer = SummaryWriter(folder + "/restarted", purge_step=purge, filename_suffix="." + str(last))
        for step in range(first, last):
            writer.add_scalar("loss", (last - step) % 613 / 7, step)
            if step % 100 == 0:
                writer.add_image("image", np.full((3, 2, 2), step % 250, dtype=np.uint8), step)
        writer.close()
    folder = folder + "/restarted"
    names = sorted(os.listdir(folder), key=lambda name: int(name.rsplit(".", 1)[1]))
    for n, name in enumerate([names[0], names[1], names[2]]):
        order = {"2500": 1, "1500": 2, "3000": 3}[name.rsplit(".", 1)[1]]
        os.rename(folder + "/" + name, f"{folder}/events.out.tfevents.{order}.host")


def bits(number):
    return struct.pack(">d", number).hex()


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    everything = {"scalars": 0, "tensors": 0, "images": 0}
    runs = {}
    for path, _, files in os.walk(folder):
        if not any("tfevents" in name for name in files):
            continue
        log = EventAccumulator(path, size_guidance=everything)
        log.Reload()
        scalars = {
            tag: [[event.step, bits(event.wall_time), bits(event.value)] for event in log.Scalars(tag)]
            for tag in log.Tags()["scalars"]
        }
        images = {}
        for tag in log.Tags()["images"]:
            last = log.Images(tag)[-1]
            images[tag] = [last.step, hashlib.sha256(last.encoded_image_string).hexdigest()]
        for tag in log.Tags()["tensors"]:
            plugin = log.SummaryMetadata(tag).plugin_data.plugin_name
            values = [(event.step, event.wall_time, tensor_util.make_ndarray(event.tensor_proto)) for event in log.Tensors(tag)]
            if plugin == "scalars":
                scalars[tag] = [[step, bits(time), bits(float(value))] for step, time, value in values]
            if plugin == "images":
                images[tag] = [values[-1][0], hashlib.sha256(values[-1][2][2]).hexdigest()]
        runs[os.path.relpath(path, folder).replace(os.sep, "/")] = {"scalars": scalars, "images": images}
    print(json.dumps(runs))


if __name__ == "__main__":
    verb, where = sys.argv[1:]
    if verb == "write":
        event_files(where)
        tensorboardx(where)
    else:
        read(where)
