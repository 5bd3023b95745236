"""The files in launch/clusters, as far as their own tools can be asked here."""

import copy
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from search_cli import LAUNCH, environment, wait_until

from tune_cl.cli._parser import search_parser

CLUSTERS = LAUNCH / "clusters"
HERE = Path(__file__).parent


def test_ray_takes_the_file_for_hosts_one_has() -> None:
    """What `ray up` does with it first; Ray's schema refuses a misspelt key."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTERS / "ray-up.yaml").read_text())
    prepared = prepare_config(config)
    validate_config(prepared)
    node = prepared["available_node_types"]["local.cluster.node"]
    assert node["min_workers"] == node["max_workers"] == len(config["provider"]["worker_ips"])
    with pytest.raises(jsonschema.ValidationError, match="head_start_commands"):
        validate_config({**prepared, "head_start_commands": []})


def test_every_start_of_ray_asks_for_the_token() -> None:
    config = yaml.safe_load((CLUSTERS / "ray-up.yaml").read_text())
    starts = [line for key in ("head", "worker") for line in config[f"{key}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token ray start" in line for line in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]


def rayjob() -> dict[str, Any]:
    """The RayJob of the file; a claim on a volume comes before it."""
    claim, job = yaml.safe_load_all((CLUSTERS / "rayjob.yaml").read_text())
    assert claim["kind"] == "PersistentVolumeClaim" and claim["spec"]["accessModes"] == ["ReadWriteMany"]
    return job


def strict(schema: Any) -> Any:
    """The schema as the cluster's strict validation reads it: a field that it does not list is refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: strict(value) for key, value in schema.items()}
    return {**inside, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else inside


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(strict(yaml.safe_load((HERE / "rayjob-schema.yaml").read_text())))


def test_the_rayjob_fits_kuberays_schema(validator: jsonschema.Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(rayjob())] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "x"),
        (("spec", "backoffLimit"), "5"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "secret"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "volumes"), []),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "name"), None),
    ],
    ids=lambda value: str(value[-1]) if isinstance(value, tuple) else repr(value),
)
def test_the_schema_refuses_mistakes(validator: jsonschema.Draft202012Validator, path: tuple, value: Any) -> None:
    job = copy.deepcopy(rayjob())
    place = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert list(validator.iter_errors(job))


def test_the_rayjobs_command_is_a_search_and_its_secrets_are_references() -> None:
    job = rayjob()
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["tune-cl", "search"]
    args = search_parser().parse_args(words[2:])
    assert args.address == "auto"
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        (mount,) = container["volumeMounts"]
        assert Path(args.results).is_relative_to(mount["mountPath"])
        assert all("value" not in variable for variable in container.get("env", []))
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}


# What stands in for SLURM and Ray in a dry run: each notes how it was called; a started Ray stays until it is ended.
STAND_INS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scontrol": 'if [ "$1 $2" = "show hostnames" ]; then printf "n1\\nn2\\nn3\\n"; fi',
    "hostname": 'echo "fe80::1 10.0.0.1"',
    "ray": "trap 'exit 0' TERM\nwhile true; do sleep 0.1; done",
    "python": """case "$1" in
      -c) echo not-so-secret ;;
      -) cat > /dev/null  # as the script: until all nodes are there
         until [ "$(grep -c '^ray start' "${0%/bin/python}/calls")" -ge 3 ]; do sleep 0.05; done ;;
      *) trap 'exit 130' TERM
         for ((i = 0; i < 10 * ${SEARCH_SECONDS:-0}; i++)); do sleep 0.1; done
         exit "${SEARCH_CODE:-0}" ;;
    esac""",
}


class DryRun:
    """The batch script, with stand-ins for what it calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        activate = folder / "tune_cl" / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.write_text(f'PATH="{folder}/bin:$PATH"\n')
        (folder / "bin").mkdir()
        for name, body in STAND_INS.items():
            script = folder / "bin" / name
            script.write_text(f'#!/usr/bin/env bash\necho {name} "$@" >> {self.calls}\n{body}\n')
            script.chmod(0o755)

    def start(self, *options: str, **changes: str) -> subprocess.Popen[str]:
        slurm = {"SLURM_JOB_ID": "41", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_PER_TASK": "4"}
        places = {
            "HOME": str(self.folder),
            "TUNE_CL": str(self.folder / "tune_cl"),
            "RESULTS": f"{self.folder}/results",
        }
        return subprocess.Popen(
            ["bash", CLUSTERS / "slurm.sbatch", *options],
            env={**environment(), **slurm, **places, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def called(self, start: str) -> list[str]:
        """The calls that begin so."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if line.startswith(start)]

    @property
    def token(self) -> Path:
        return self.folder / ".ray" / "tune-cl-41.token"


@pytest.fixture
def dry_run(tmp_path: Path) -> Iterator[DryRun]:
    yield DryRun(tmp_path)


def test_the_batch_script_is_bash() -> None:
    done = subprocess.run(["bash", "-n", CLUSTERS / "slurm.sbatch"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_batch_script_starts_ray_on_every_node_and_a_search_on_the_first(dry_run: DryRun) -> None:
    process = dry_run.start("--space", "genifer.yaml", "--set", "increment.classifier.weight_ce={log: [0.05, 0.9]}")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    head, *workers = sorted(dry_run.called("ray start"), key=lambda line: "--head" not in line)
    assert "--node-ip-address=10.0.0.1 --port=20041" in head and "--num-cpus=4 --block" in head
    assert [line.split()[2] for line in workers] == ["--address=10.0.0.1:20041"] * 2
    on_nodes = [line for line in dry_run.called("srun") if " ray start " in line]
    assert {line.split("--nodelist=")[1].split()[0] for line in on_nodes} == {"n1", "n2", "n3"}
    (search,) = dry_run.called(f"python {dry_run.folder}/tune_cl/launch/search.py")
    given = search.split("search.py ")[1]
    assert given.startswith(f"--address 10.0.0.1:20041 --results {dry_run.folder}/results --space genifer.yaml --set")
    assert dry_run.called("scontrol requeue") == []
    assert not dry_run.token.exists(), "nobody needs it any more"


@pytest.mark.parametrize(
    ("number", "code", "requeued"),
    [(signal.SIGUSR1, 0, ["scontrol requeue 41"]), (signal.SIGTERM, 130, [])],
    ids=["time is nearly up", "nodes are taken back"],
)
def test_the_batch_script_ends_the_search_in_an_orderly_way(
    dry_run: DryRun, number: signal.Signals, code: int, requeued: list[str]
) -> None:
    """Before its time is up it asks for another run itself; at preemption SLURM does that."""
    process = dry_run.start("--space=genifer.yaml", SEARCH_SECONDS="60")
    wait_until(lambda: bool(dry_run.called("python /")), 60, "the search has begun")
    process.send_signal(number)  # as SLURM does: to the script alone
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert dry_run.called("scontrol requeue") == requeued
    assert dry_run.token.exists() and dry_run.token.stat().st_mode & 0o077 == 0


def test_the_batch_script_passes_on_what_is_wrong_and_does_not_try_again(dry_run: DryRun) -> None:
    process = dry_run.start("--space=genifr.yaml", SEARCH_CODE="2")
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert dry_run.called("scontrol requeue") == []


def test_the_token_is_in_no_argument(dry_run: DryRun) -> None:
    process = dry_run.start("--space=genifer.yaml", SEARCH_CODE="1")
    process.communicate(timeout=60)
    assert process.returncode == 1
    token = dry_run.token.read_text().strip()
    assert token and token not in dry_run.calls.read_text()
