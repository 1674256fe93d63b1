"""own_data_werk FILE: every command from the file to an approved model, each in a process of its own, as one types them."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

source = Path(sys.argv[1])
werk = (sys.executable, "-m", "werk")
commands = 0


def typed(*words: str, **variables: str) -> str:
    global commands
    commands += 1
    done = subprocess.run([*werk, *words], capture_output=True, text=True, check=False, env={**os.environ, **variables})
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    typed("init", "case", "--from", str(source), "--target", "Machine failure", "--key", "UID")
    os.chdir("case")
    plan = Path("plan.toml")
    plan.write_text(plan.read_text(encoding="utf-8").replace("# check this", ""), encoding="utf-8")
    typed("ingest", f"raw.{source.stem}", str(source))
    typed("run", "training")
    token = re.findall(r"werk_[\w-]+", typed("actor", "add", "second"))[0]
    typed("approve", "case:1", WERK_TOKEN=token)
    approved = json.loads(typed("models", "--json"))[0]["status"]
    os.chdir("/")
print(json.dumps({"commands": commands - 1, "approved": int(approved == "approved")}))
