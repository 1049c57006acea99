"""`python -m bench.certificate`: how long certificates and lineage take, through the gateway.

The version is larger than most: 100 parameters and metrics, three datasets of 200 columns, 150
packages, 20 files, 100 changes of stage. Beside the figures stands a health check of the same run;
verifying is measured without a server.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.__main__ import transport_limit
from bench.story import Story
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.certificates.envelope import read_envelope
from studbook.certificates.keys import read_keys
from studbook.certificates.page import render_page
from studbook.certificates.statement import read_statement
from studbook.certificates.verification import verify_certificate
from studbook.registry.v1 import lineage_service_pb2, model_service_pb2, promotion_service_pb2
from studbook.registry.v1.version_pb2 import STAGE_ARCHIVED, STAGE_STAGING
from studbook.tracking.v1 import (
    dataset_pb2,
    dataset_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from studbook.client import Client

FIGURES = 100
DATASETS = 3
COLUMNS = 200
PACKAGES = 150
FILES = 20
MOVES = 100
VERSIONS = 200
CALLS = 200


class CertifiedStory(Story):
    """A version with everything that a certificate tells."""

    def enlarge(self) -> str:
        """Make the version; returns its name."""
        self._describe_run()
        for number in range(FILES):
            self._store(f"file {number}".encode(), f"large/part-{number}.bin")
        name = self._register("2.0.0")
        for move in range(MOVES):
            stage = STAGE_ARCHIVED if move % 2 else STAGE_STAGING
            self._trainer.promotions.TransitionStage(
                promotion_service_pb2.TransitionStageRequest(
                    name=name, to_stage=stage, reason="measured"
                )
            )
        for number in range(VERSIONS):
            self._register(f"3.{number}.0")
        return name

    @property
    def client(self) -> Client:
        """The trainer's connection."""
        return self._trainer

    def _describe_run(self) -> None:
        params = [
            run_pb2.Param(key=f"param-{n}", value=run_pb2.ParamValue(double_value=n / 7))
            for n in range(FIGURES)
        ]
        inputs = [self._dataset(number) for number in range(DATASETS)]
        self._trainer.runs.LogBatch(
            run_service_pb2.LogBatchRequest(run=self.run, params=params, dataset_inputs=inputs)
        )
        self._trainer.runs.LogBatch(
            run_service_pb2.LogBatchRequest(
                run=self.run,
                environment=run_pb2.Environment(
                    python_version="3.11.7",
                    packages={f"package-{n}": f"{n}.0" for n in range(PACKAGES)},
                ),
                code=run_pb2.Code(commit="c" * 40),
            )
        )
        series = [
            metric_pb2.MetricSeries(key=f"metric-{n}", steps=[1], times_us=[1], values=[n / 7])
            for n in range(FIGURES)
        ]
        self._trainer.metrics.AppendMetrics(
            metric_service_pb2.AppendMetricsRequest(
                run=self.run, writer="bench", sequence=next(self._sequence), series=series
            )
        )

    def _dataset(self, number: int) -> run_pb2.DatasetInput:
        digest = f"{number}" * 64
        columns = [
            dataset_pb2.Column(name=f"column-{n}", type="double", null_count=n)
            for n in range(COLUMNS)
        ]
        dataset = self._trainer.datasets.RegisterDataset(
            dataset_service_pb2.RegisterDatasetRequest(
                parent="workspaces/main/datasets/bench",
                dataset=dataset_pb2.Dataset(
                    digest=f"sha256:{digest}", format="table/v1", row_count=1000, columns=columns
                ),
            )
        ).dataset
        return run_pb2.DatasetInput(dataset=dataset.name, role=f"role-{number}")

    def _register(self, number: str) -> str:
        return self._trainer.models.CreateVersion(
            model_service_pb2.CreateVersionRequest(
                parent=self.model,
                version_id=number,
                source_run=self.run,
                artifact_paths=["large"],
            )
        ).version.name


def measure(stack: LocalStack) -> dict[str, object]:
    """All figures."""
    story = CertifiedStory(stack)
    name = story.enlarge()
    lineage = story.client.lineage
    certificate = lineage_service_pb2.GetCertificateRequest(name=name)
    derived = lineage_service_pb2.ListDerivedVersionsRequest(
        parent="workspaces/main", digest=f"sha256:{'0' * 64}", page_size=VERSIONS
    )
    content = lineage.GetCertificate(certificate).envelope
    keys = read_keys(stack.folder.keys / "ledger.pub.pem")
    envelope = read_envelope(content)
    found = len(lineage.ListDerivedVersions(derived).versions)
    return {
        "limit: health check": transport_limit(stack.addresses.gateway),
        "certificate": latency(lambda: lineage.GetCertificate(certificate), CALLS),
        "size of the certificate, bytes": len(content),
        f"{found} versions trained on a dataset": latency(
            lambda: lineage.ListDerivedVersions(derived), CALLS
        ),
        "lineage of a version": latency(
            lambda: lineage.GetLineage(lineage_service_pb2.GetLineageRequest(name=name)), CALLS
        ),
        "verify, without a server": latency(lambda: verify_certificate(content, keys), CALLS),
        "page for people": latency(lambda: render_page(read_statement(envelope), envelope), CALLS),
    }


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        with LocalStack(Path(folder), Ports.from_base(0)) as stack:
            figures = measure(stack)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
