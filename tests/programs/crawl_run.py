"""Runs crawl and takes apart what it says."""
import json
import os
import subprocess
import tempfile


class Result:
    """What a finished crawl left: exit status, output, and the JSON file if it wrote one."""

    def __init__(self, status, stdout, stderr, text):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.text = text

    @property
    def json(self):
        return json.loads(self.text)

    def outcomes(self):
        """URL to status, or to the kind of error."""
        return {page["url"]: page.get("status", page.get("error")) for page in self.json["pages"]}

    def urls(self):
        return [page["url"] for page in self.json["pages"]]

    def depths(self):
        return {page["url"]: page["depth"] for page in self.json["pages"]}

    def sizes(self):
        return {page["url"]: page["bytes"] for page in self.json["pages"]}

    def row(self, label):
        """What stands beside a label in the table."""
        for line in self.stdout.splitlines():
            if line.startswith(label + " "):
                return line[len(label):].strip()
        return None

    def __str__(self):
        return f"exit status {self.status}\nstdout: {self.stdout}\nstderr: {self.stderr}"


class Running:
    """A crawl under way."""

    def __init__(self, command, **popen):
        self.folder = tempfile.TemporaryDirectory(prefix="crawl-")
        self.json_path = os.path.join(self.folder.name, "crawl.json")
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        self.process = subprocess.Popen([*command, "--json", self.json_path], stdin=subprocess.DEVNULL, text=True, **outputs)

    def finish(self, timeout=60):
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        text = ""
        if os.path.exists(self.json_path):
            with open(self.json_path) as file:
                text = file.read()
        self.folder.cleanup()
        return Result(self.process.returncode, stdout, stderr, text)


def crawl(*command, timeout=60, **popen):
    """Runs a crawl to its end."""
    return Running([str(part) for part in command], **popen).finish(timeout)
