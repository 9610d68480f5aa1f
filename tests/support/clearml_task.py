"""A training that reports to ClearML with its own SDK."""

import os

import numpy as np

# A process of its own for the reports may outlive the training.
with open("sdk.conf", "w") as file:
    file.write("sdk.development.report_use_subprocess: false\n")
os.environ["CLEARML_CONFIG_FILE"] = "sdk.conf"

from clearml import Task

# Looking for the packages that a script imports takes longer than all the rest.
with open("requirements.txt", "w") as file:
    file.write("clearml\n")
Task.force_requirements_env_freeze(force=True, requirements_file="requirements.txt")
task = Task.init(
    project_name="Lab/CI",
    task_name="dummy_task",
    auto_connect_frameworks=False,
    auto_resource_monitoring=False,
    reuse_last_task_id=False,
)
task.connect({"lr": 0.1}, name="Args")
logger = task.get_logger()
for step, value in enumerate([0.5, 0.75, 0.95]):
    logger.report_scalar("Performance Metric", "Series 1", value, step)
for step, value in enumerate([2.0, 1.0, 0.5, float("nan")]):
    logger.report_scalar("loss", "train", value, step)
logger.report_single_value("final_acc", 0.7)
logger.report_confusion_matrix("confusion", "val", matrix=np.array([[7, 1], [2, 8]]), iteration=2)
logger.report_image("samples", "a b", iteration=0, image=np.full((8, 8, 3), 128, dtype=np.uint8))
task.upload_artifact("data", artifact_object={"rows": 3}, wait_on_upload=True)
print("hello from the task")
task.flush(wait_for_uploads=True)
task.close()
print("all is written")
