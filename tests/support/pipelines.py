"""bitbucket-pipeline-runner, an emulator of Bitbucket Pipelines, on a machine without registries and bridge networks.

    python pipelines.py REPOSITORY PIPELINE ENV_FILE HELPER_IMAGE [VOLUME...]

It runs a pipeline, such as `default`, of a repository's bitbucket-pipelines.yml; variables of the settings come from a
file. What it takes from registries for its own work is done by one image that is here. Added to it as on Bitbucket: the
clone comes from the repository's address, which it is then left with; a step with `runs-on` waits until a runner with the
labels is online; pipes have the folder that they share; the pipeline's exit code is the program's.
"""

import base64
import os
import sys
import time

import requests
import yaml
from docker.models.containers import ContainerCollection
from pipeline_runner import container, models, runner, service
from pipeline_runner.config import config
from pipeline_runner.repository import RepositoryCloner

WAIT = int(os.environ["WAIT_FOR_RUNNER"])
HELPERS = {runner.ATLASSIAN_PAUSE_IMAGE: "sleep infinity", "alpine/git": None, "alpine": None}


def steps(repository, pipeline):
    """The steps of the pipeline, in their order."""
    with open(os.path.join(repository, "bitbucket-pipelines.yml")) as file:
        found = yaml.safe_load(file)["pipelines"]
    for name in pipeline.split(".", 1):
        found = found[name]
    flat = []
    for item in found:
        together = item.get("parallel", [item])
        flat += together["steps"] if isinstance(together, dict) else together
    return [item["step"] for item in flat]


def bring_up(helper):
    run = ContainerCollection.run

    def run_here(self, image, command=None, **options):
        if image in HELPERS:
            command = HELPERS[image]
            options["entrypoint"] = options.get("entrypoint") or ""
            image = helper
        if not options.get("network"):
            options["network"] = "host"
        if "environment" in options:
            options["environment"] = {**options["environment"], "STEP_CONTAINER": options["name"]}
        return run(self, image, command, **options)

    ContainerCollection.run = run_here
    container.pull_image = service.pull_image = lambda *_: None


def clone_from_origin():
    plain = RepositoryCloner._get_clone_command
    who = base64.b64encode(b"x-token-auth:" + os.environ["CLONE_TOKEN"].encode()).decode()

    def with_token(self, origin):
        token = f'git -c "http.extraHeader=Authorization: Basic {who}" clone'
        return plain(self, origin).replace("git clone", token)

    RepositoryCloner._get_origin = lambda self: os.environ["BITBUCKET_GIT_HTTP_ORIGIN"] + ".git"
    RepositoryCloner._get_clone_command = with_token


def is_online(labels):
    """Whether a runner of the repository has all the labels."""
    url = f"{os.environ['BITBUCKET_API_URL']}/repositories/{os.environ['BITBUCKET_REPO_FULL_NAME']}"
    headers = {"Authorization": f"Bearer {os.environ['CLONE_TOKEN']}"}
    answer = requests.get(f"{url}/pipelines-config/runners?pagelen=100", headers=headers, timeout=30)
    answer.raise_for_status()
    online = [each for each in answer.json()["values"] if each["state"]["status"] == "ONLINE"]
    return any(set(labels) <= set(each["labels"]) for each in online)


def run_pipes_here():
    """By this machine's daemon, whose client and socket are among the volumes; it does not know the step's by path."""
    plain = models.Pipe.as_cmd
    shared = f"{config.build_dir}/.bitbucket/pipelines/generated/pipeline/pipes"
    has = [
        "--volumes-from=$STEP_CONTAINER",
        "--network=host",
        "--add-host=host.docker.internal:127.0.0.1",
        f"--env=BITBUCKET_PIPE_SHARED_STORAGE_DIR={shared}",
        '--env=BITBUCKET_PR_ID="$BITBUCKET_PR_ID"',
        '--env=BITBUCKET_API_URL="$BITBUCKET_API_URL"',
        '--env=CML_BITBUCKET_PROXY="$CML_BITBUCKET_PROXY"',
    ]

    def as_cmd(self):
        words = [word for word in plain(self).split(" ") if not word.startswith("--volume=")]
        line = " ".join([*words[:2], *has, *words[2:]]).replace(" docker://", " ")
        return f"mkdir -p {shared} && {line}"

    models.Pipe.as_cmd = as_cmd
    runner.StepRunner._docker_is_needed = lambda self: False


def wait_for_runners(repository, pipeline):
    plain, left = runner.StepRunner.run, iter(steps(repository, pipeline))

    def run(self):
        labels = next(left).get("runs-on", [])
        end = time.monotonic() + WAIT
        while labels and not is_online(labels):
            if time.monotonic() > end:
                print(f"no runner with the labels {', '.join(labels)} is online")
                return 1
            time.sleep(0.2)
        return plain(self)

    runner.StepRunner.run = run


def main(repository, name, env_file, helper, *volumes):
    config.volumes = list(volumes)
    bring_up(helper)
    run_pipes_here()
    wait_for_runners(repository, name)
    # It has its own spelling.
    name = name.replace("pull-requests", "pull_requests", 1)
    request = runner.PipelineRunRequest(name, repository_path=repository, env_files=[env_file])
    pipeline = runner.PipelineRunner(request)
    clone_from_origin()
    sys.exit(pipeline.run().exit_code)


main(*sys.argv[1:])
