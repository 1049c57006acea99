"""The story: from three training runs to a rollback, each step checked."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from studbook.demo.stage import expect

if TYPE_CHECKING:
    from studbook.demo.stack_process import StackProcess
    from studbook.demo.stage import Stage

MODEL = "wine-cultivar"
_SCORE = 'metrics."fold/accuracy".mean'
_CLAIMS = ("iss", "sub", "aud", "repository", "repository_id", "ref", "environment", "sha")


class Story:
    """Plays the steps in order; each method is one.

    Args:
        stage: Where it is played.
        stack: The servers.
    """

    def __init__(self, stage: Stage, stack: StackProcess) -> None:
        self._stage = stage
        self._stack = stack
        self._ada = stage.actor("ada")
        self._runs: list[dict[str, Any]] = []

    def play(self) -> None:
        """Play everything.

        Raises:
            SurpriseError: A step came out otherwise than it should.
        """
        self._log_in()
        self._train()
        self._compare()
        self._register()
        self._refused()
        self._promote()
        self._serve()
        self._explain()
        self._look_back()
        self._roll_back()
        self._audit()

    def _log_in(self) -> None:
        self._stage.step(
            "Ada, a data scientist, logs in",
            """She logs in at the login provider, here the one built in for development. The
            gateway verifies her token at every call; access.yaml says that her group may train
            and register.""",
        )
        self._stage.run(self._ada, "studbook", "login", "--as", "ada")
        said = self._stage.run(self._ada, "studbook", "whoami")
        expect("user:dev:ada" in said, "the server does not know Ada as user:dev:ada")

    def _train(self) -> None:
        self._stage.step(
            "Three candidates are trained",
            """An ordinary scikit-learn program with a few lines of the SDK. Each run records its
            settings, a metric for each fold and epoch, digests over every byte of the data, the
            model file, a confusion matrix, the environment, and the Git commit with its dirty
            flag. Logging never waits for the network.""",
        )
        self._stage.run(self._ada, "python", "examples/train_wine.py")
        self._runs = self._stage.ask(
            self._ada, "studbook", "run", "ls", "wine", "--order-by", f"{_SCORE} desc", "--json"
        )
        expect(len(self._runs) == 3, f"there are {len(self._runs)} runs instead of 3")
        for run in self._runs:
            _check_run(run)
        artifacts = self._stage.run(
            self._ada, "studbook", "run", "ls-artifacts", _short(self._runs[0]["name"])
        )
        expect("confusion_matrix.png" in artifacts, "the confusion matrix was not stored")
        expect("model.joblib" in artifacts, "the model file was not stored")

    def _compare(self) -> None:
        self._stage.step(
            "Which one is best?",
            """Sorting happens in the server, on summaries that it keeps as points arrive. The
            comparison shows what differs: settings, metrics against the first run, packages.""",
        )
        columns = "run,name,metrics.fold/accuracy.mean,metrics.test/accuracy,commit"
        self._stage.run(
            self._ada, "studbook", "run", "ls", "wine",
            "--order-by", f"{_SCORE} desc", "--columns", columns,
        )  # fmt: skip
        names = [_short(run["name"]) for run in self._runs]
        said = self._stage.run(self._ada, "studbook", "run", "compare", *names)
        for shown in ("algorithm", "fold/accuracy", "n_estimators"):
            expect(shown in said, f"the comparison does not mention {shown}")

    def _register(self) -> None:
        self._stage.step(
            "The winner becomes version 1.0.0, another one 1.1.0",
            """A version is a number that never changes its content: the registry takes run,
            parameters, data, code and file digests over from the tracking service and recomputes
            every digest before the version counts as ready.""",
        )
        for number, run in zip(("1.0.0", "1.1.0"), self._runs, strict=False):
            self._stage.run(
                self._ada, "studbook", "model", "register", f"{MODEL}@{number}",
                "--run", _short(run["name"]), "--description", run["displayName"],
            )  # fmt: skip
        self._expect_stages({"1.0.0": "NONE", "1.1.0": "NONE"})

    def _refused(self) -> None:
        self._stage.step(
            "Ada may not put it into Production",
            """Training and promoting are different permissions. The refusal names the one that
            is missing, and is itself entered in the ledger.""",
        )
        said = self._stage.run(
            self._ada, "studbook", "model", "promote", f"{MODEL}@1.0.0", "--to", "production",
            "--reason", "it is the best", exit_code=4,
        )  # fmt: skip
        expect("models.promote" in said, "the refusal does not name models.promote")
        expect("PERMISSION_MISSING" in said, "the refusal does not give its reason code")
        self._expect_stages({"1.0.0": "NONE", "1.1.0": "NONE"})

    def _promote(self) -> None:
        self._stage.step(
            "The release pipeline may",
            """A CI job has no stored secret. Its CI system signs a token that says which
            repository, branch and environment the job belongs to; access.yaml names the ones
            that may promote.""",
        )
        ci = self._stage.actor("ci")
        data = str(self._stack.data)
        token = self._stage.read(ci, "python", "-m", "local_stack.ci_token", "--data", data).strip()
        shown = f"STUDBOOK_TOKEN={token[:16]}...   # given to the job by its CI system"
        ci = self._stage.set(ci, shown, STUDBOOK_TOKEN=token)
        claims = _claims(token)
        self._stage.show(f"{claim:<14} {claims.get(claim, '-')}" for claim in _CLAIMS)
        self._stage.run(
            ci, "studbook", "model", "promote", f"{MODEL}@1.0.0", "--to", "production",
            "--reason", "first release", "--expect", "none",
        )  # fmt: skip
        self._expect_stages({"1.0.0": "PRODUCTION", "1.1.0": "NONE"})
        self._stage.say(
            """Then 1.1.0. A model has one version in Production, so 1.0.0 is archived in the same
            transaction; --expect makes sure that it is really 1.0.0 that gives way."""
        )
        self._stage.run(
            ci, "studbook", "model", "promote", f"{MODEL}@1.1.0", "--to", "production",
            "--reason", "a forest, as the roadmap has it", "--expect", "1.0.0",
        )  # fmt: skip
        self._expect_stages({"1.0.0": "ARCHIVED", "1.1.0": "PRODUCTION"})

    def _serve(self) -> None:
        self._stage.step(
            "An ops service fetches what is in Production",
            """A service account with client credentials and one permission, models.serve. The
            files come over gRPC, every digest is checked here too, and only then the model is
            loaded.""",
        )
        secret = self._stack.secret_file("serving")
        ops = self._stage.set(
            self._stage.actor("ops"),
            f"STUDBOOK_CLIENT_ID=serving STUDBOOK_CLIENT_SECRET_FILE={secret}",
            STUDBOOK_CLIENT_ID="serving",
            STUDBOOK_CLIENT_SECRET_FILE=str(secret),
        )
        said = self._stage.run(ops, "studbook", "pull", f"{MODEL}@production", "model")
        expect(f"{MODEL}@1.1.0" in said, "what was pulled is not 1.1.0")
        said = self._stage.run(ops, "python", "examples/serve_production.py", MODEL, "model")
        expect("The first bottle is of" in said, "the model did not predict")

    def _explain(self) -> None:
        self._stage.step(
            "Where does it come from?",
            """One question, one screen: which model, trained by which run, with which settings,
            on which data, from which commit, and who let it through when.""",
        )
        said = self._stage.run(self._ada, "studbook", "model", "lineage", f"{MODEL}@production")
        for shown in (_short(self._runs[1]["name"]), "wine-training", "pipeline:release"):
            expect(shown in said, f"the lineage does not mention {shown}")

    def _look_back(self) -> None:
        self._stage.step(
            "What was in Production a moment earlier?",
            """The registry answers for any moment, exact to the microsecond: here for one before
            the second promotion.""",
        )
        said = self._stage.run(
            self._ada, "studbook", "model", "show", f"{MODEL}@production",
            "--at", self._before_second_promotion(),
        )  # fmt: skip
        expect(f"{MODEL}@1.0.0" in said, "1.0.0 was not found in Production at that moment")

    def _roll_back(self) -> None:
        self._stage.step(
            "Grace, the release manager, rolls back",
            """The forest is worse than the roadmap promised. One call puts the former version
            back, and archives the present one with it.""",
        )
        grace = self._stage.actor("grace")
        self._stage.run(grace, "studbook", "login", "--as", "grace")
        self._stage.run(
            grace, "studbook", "model", "rollback", MODEL, "--reason", "folds got worse"
        )
        self._expect_stages({"1.0.0": "PRODUCTION", "1.1.0": "ARCHIVED"})
        said = self._stage.run(grace, "studbook", "model", "history", MODEL)
        expect("rollback" in said, "the history does not show the rollback")

    def _audit(self) -> None:
        self._stage.step(
            "Max, the auditor, reads the ledger",
            """Everything that was done, and what was refused, in one table that is only ever
            added to.""",
        )
        auditor = self._stage.actor("max")
        self._stage.run(auditor, "studbook", "login", "--as", "max")
        said = self._stage.run(auditor, "studbook", "audit", "ls", "--model", MODEL)
        expect("refused" in said, "the ledger does not show that Ada was refused")

    def _before_second_promotion(self) -> str:
        """Half way between the two promotions."""
        history = self._stage.ask(self._ada, "studbook", "model", "history", MODEL, "--json")
        into = {
            _last(change["version"]): _time(change["createTime"])
            for change in history
            if change["toStage"] == "STAGE_PRODUCTION"
        }
        between: timedelta = into["1.1.0"] - into["1.0.0"]
        return (into["1.0.0"] + between / 2).isoformat().replace("+00:00", "Z")

    def _expect_stages(self, stages: dict[str, str]) -> None:
        shown = self._stage.ask(self._ada, "studbook", "model", "show", MODEL, "--json")
        found = {entry["version"]: entry["stage"] for entry in shown["versions"]}
        expected = {number: f"STAGE_{stage}" for number, stage in stages.items()}
        expect(found == expected, f"the stages are {found} instead of {expected}")


def _check_run(run: dict[str, Any]) -> None:
    name = run["displayName"]
    expect(run["state"] == "RUN_STATE_FINISHED", f"run {name} is {run['state']}")
    keys = {metric["key"]: metric["count"] for metric in run["metrics"]}
    expect(keys.get("fold/accuracy") == "5", f"run {name} has {keys} instead of five folds")
    roles = {dataset["role"] for dataset in run["datasetInputs"]}
    expect(roles == {"training", "test"}, f"run {name} learned from {roles}")
    expect(bool(run["environment"]["pythonVersion"]), f"run {name} has no environment")


def _claims(token: str) -> dict[str, Any]:
    """What a token says; nobody relies on it here, the gateway verifies it."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _short(name: str) -> str:
    """As tables print it and commands take it: the id's first twelve digits are enough."""
    parts = name.split("/")
    return f"{parts[3]}/{parts[5][:12]}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]
