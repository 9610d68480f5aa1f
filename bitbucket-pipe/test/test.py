"""The pipe's image as Bitbucket Pipelines runs it, by Atlassian's own toolkit.

    pip install --require-hashes -r test/requirements.txt && python test/test.py -v

In this pipe's own pipeline there is nothing to set up: it is about the repository that it runs in. The comment is tried in
pull requests of a repository that has the secured variable REPO_TOKEN. The image is the one that pipe.yml names, unless
PIPE_IMAGE names another.
"""

import os
import re
import tempfile
import unittest
from pathlib import Path

import docker
import requests
from bitbucket_pipes_toolkit import ArrayVariable, Pipe
from bitbucket_pipes_toolkit.test import PipeTestCase

# Where Bitbucket keeps what the pipes of a step share: it is in the working copy.
STORAGE = Path(os.environ.get("BITBUCKET_CLONE_DIR", os.getcwd())) / ".bitbucket/pipelines/generated/pipeline/pipes"


def metadata():
    """pipe.yml, as the toolkit reads it."""
    return Pipe(pipe_metadata_file="pipe.yml", schema={}).metadata


class CmlTestCase(PipeTestCase):
    """Runs the image in a folder with a report, and tells how it ended."""

    @classmethod
    def setUpClass(cls):
        # Not super(): it builds an image, and this pipe's comes from its release.
        cls.image_tag = os.environ.get("PIPE_IMAGE") or metadata()["image"]
        cls.docker_client = docker.from_env()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="report-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.report = str((self.folder / "report.md").relative_to(os.getcwd()))
        Path(self.report).write_text("# Report\n\nAccuracy: **0.99**\n")
        self.storage, self.shared = STORAGE / "org/cml", STORAGE
        self.storage.mkdir(parents=True, exist_ok=True)
        (self.shared / "cml.env").unlink(missing_ok=True)

    def environment(self, variables):
        """What Bitbucket hands over: the step's default variables, and the pipe's; lists an item each."""
        given = {name: value for name, value in os.environ.items() if name.startswith("BITBUCKET_") or name == "CI"}
        if proxy := os.environ.get("CML_BITBUCKET_PROXY"):
            given["CML_BITBUCKET_PROXY"] = proxy
        given["BITBUCKET_PIPE_STORAGE_DIR"] = str(self.storage)
        given["BITBUCKET_PIPE_SHARED_STORAGE_DIR"] = str(self.shared)
        for name, value in variables.items():
            given.update(ArrayVariable.from_list(name, value).decompile() if isinstance(value, list) else {name: value})
        return given

    def run_pipe(self, **variables):
        """The exit code and the log."""
        host = os.environ.get("BITBUCKET_DOCKER_HOST_INTERNAL", "127.0.0.1")
        container = self.run_and_get_container(
            environment=self.environment(variables),
            network_mode="host",
            extra_hosts={"host.docker.internal": host},
        )
        try:
            return container.wait()["StatusCode"], container.logs().decode()
        finally:
            container.remove(force=True)

    def assert_refused(self, error, hint, **variables):
        self.assertEqual(self.run_pipe(**variables), (2, f"error: {error}\nhint: {hint}\n"))


class MetadataTest(unittest.TestCase):
    def test_metadata_is_whole(self):
        about = metadata()
        texts = ["name", "image", "description", "category", "repository"]
        self.assertTrue(all(isinstance(about[key], str) and about[key] for key in texts), about)
        for whose in ["vendor", "maintainer"]:
            self.assertEqual(sorted(about[whose]), ["email", "name", "website"])
        self.assertTrue(about["tags"])
        # The form in which the toolkit finds the version.
        self.assertRegex(about["image"], r":\d+\.\d+\.\d+$")

    def test_variables_are_names_with_texts_as_defaults(self):
        variables = metadata()["variables"]
        names = [variable["name"] for variable in variables]
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for name in names), names)
        self.assertTrue(all(isinstance(variable.get("default", ""), str) for variable in variables), variables)
        self.assertIn({"name": "DEBUG", "default": "false"}, variables)

    def test_the_readme_names_the_same_version(self):
        named = re.findall(r"pipe: docker://(\S+)", Path("README.md").read_text())
        self.assertEqual(set(named), {metadata()["image"]})


class RefusalTest(CmlTestCase):
    def test_nothing_is_done_without_a_command(self):
        hint = "set it, for instance COMMAND: comment update"
        self.assert_refused("the variable COMMAND is required", hint)

    def test_a_variable_that_the_command_does_not_have(self):
        self.assert_refused(
            "the variable CLOUD is not an option of cml comment update",
            "see `cml comment update --help`, or remove it",
            COMMAND="comment update",
            REPORT=self.report,
            CLOUD="aws",
        )

    def test_a_list_for_a_variable_with_one_value(self):
        code, log = self.run_pipe(COMMAND="comment update", REPORT=self.report, TARGET=["pr", "commit"])
        self.assertEqual((code, log.splitlines()[0]), (2, "error: the variable TARGET takes one value"))

    def test_a_command_that_there_is_not(self):
        code, log = self.run_pipe(COMMAND="coment update")
        self.assertEqual(code, 2)
        self.assertRegex(log, "coment(.|\n)*comment")

    def test_a_report_that_is_not_there(self):
        code, log = self.run_pipe(COMMAND="check create", REPORT="no/report.md")
        self.assertNotEqual(code, 0)
        self.assertIn("error: cannot read the report no/report.md", log)


class InsightsTest(CmlTestCase):
    """Reports of Code Insights need no token: they go through the step's proxy."""

    def check(self, title, **variables):
        return self.run_pipe(COMMAND="check create", REPORT=self.report, TITLE=title, **variables)

    def reports(self):
        api = os.environ.get("BITBUCKET_API_URL", "https://api.bitbucket.org/2.0").replace("https://", "http://")
        proxy = os.environ.get("CML_BITBUCKET_PROXY", "http://localhost:29418")
        commit = f"{os.environ['BITBUCKET_REPO_FULL_NAME']}/commit/{os.environ['BITBUCKET_COMMIT']}"
        answer = requests.get(f"{api}/repositories/{commit}/reports", proxies={"http": proxy}, timeout=30)
        answer.raise_for_status()
        return {report["title"]: report for report in answer.json()["values"]}

    def test_a_report_with_figures(self):
        code, log = self.check("Figures", DATA=["accuracy=99%", "notes=a, 'b'"])
        self.assertEqual(code, 0, log)
        report = self.reports()["Figures"]
        self.assertEqual(report["result"], "PASSED")
        self.assertEqual([figure["title"] for figure in report["data"]], ["accuracy", "notes"])
        self.assertEqual(report["data"][1]["value"], "a, 'b'")
        self.assertIn("0.99", report["details"])
        # The address is on the log and a result for later pipes and lines of the script.
        addresses = re.findall(r"^https?://\S+$", log, re.MULTILINE)
        self.assertEqual([(self.shared / "cml.env").read_text()], [f"CHECK_URL={address}\n" for address in addresses])

    def test_a_failure_is_one(self):
        code, log = self.check("Failed", CONCLUSION="failure")
        self.assertEqual(code, 0, log)
        self.assertEqual(self.reports()["Failed"]["result"], "FAILED")

    def test_debug_tells_the_requests(self):
        for debug, told in [("true", True), ("false", False)]:
            code, log = self.check("Debug", DEBUG=debug)
            self.assertEqual((code, "/reports/cml-" in log), (0, told), log)


@unittest.skipUnless(
    os.environ.get("REPO_TOKEN") and os.environ.get("BITBUCKET_PR_ID"), "needs REPO_TOKEN and a pull request"
)
class CommentTest(CmlTestCase):
    def test_a_comment_is_kept_up_to_date(self):
        addresses = set()
        for debug in ["false", "true"]:
            token = os.environ["REPO_TOKEN"]
            code, log = self.run_pipe(COMMAND="comment update", REPORT=self.report, REPO_TOKEN=token, DEBUG=debug)
            self.assertEqual(code, 0, log)
            self.assertNotIn(token, log)
            addresses |= set(re.findall(r"^https?://\S+/pull-requests/\d+\S*$", log, re.MULTILINE))
        self.assertEqual(len(addresses), 1, addresses)

    def test_without_a_token_it_says_what_to_do(self):
        # What a pipe gets for a variable that the pipeline does not have, be it nothing or the name.
        for token in ["", "$REPO_TOKEN"]:
            code, log = self.run_pipe(COMMAND="comment update", REPORT=self.report, REPO_TOKEN=token)
            self.assertEqual(code, 4, log)
            self.assertIn("error: no token found for Bitbucket", log)


if __name__ == "__main__":
    unittest.main()
