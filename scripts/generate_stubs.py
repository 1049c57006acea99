"""Generate the Python stubs in `studbook/` and the descriptor image buf checks, from `protos/`.

With `--check` nothing is written; the exit code is 1 when the committed stubs are not what
`protos/` would give.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

import google.api
import grpc_tools

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
IMAGE = ROOT / "build" / "studbook.binpb"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def include_paths() -> list[str]:
    """Folders that hold our protos, protobuf's own and Google's API annotations."""
    google_apis = Path(next(iter(google.api.__path__))).parent.parent
    well_known = Path(next(iter(grpc_tools.__path__))) / "_proto"
    return [f"-I{PROTOS}", f"-I{google_apis}", f"-I{well_known}"]


def protoc(*arguments: str) -> None:
    """Run protoc over every file of `protos/`."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    # The plug-ins lie beside the interpreter, which need not be on PATH.
    plugins = [
        f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    command = [sys.executable, "-m", "grpc_tools.protoc", *include_paths(), *plugins, *arguments]
    subprocess.run([*command, *sources], check=True)  # noqa: S603 - arguments are ours


def generate(target: Path) -> None:
    """Write all stubs below `target`, as packages."""
    protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    )
    for folder in sorted({path.parent for path in target.rglob("*_pb2.py")}):
        for package in (folder, folder.parent):
            if package != target / "studbook":
                (package / "__init__.py").touch()


def write_image() -> None:
    """Write the compiled contracts for `buf lint` and `buf breaking`."""
    IMAGE.parent.mkdir(exist_ok=True)
    protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={IMAGE}")


def differences(fresh: Path) -> list[str]:
    """Paths of stubs that are missing, superfluous or different in the work tree."""
    wanted = {path.relative_to(fresh) for pattern in GENERATED for path in fresh.rglob(pattern)}
    present = {
        path.relative_to(ROOT)
        for pattern in GENERATED
        for path in (ROOT / "studbook").rglob(pattern)
    }
    changed = {
        path
        for path in wanted & present
        if not filecmp.cmp(fresh / path, ROOT / path, shallow=False)
    }
    return sorted(str(path) for path in (wanted ^ present) | changed)


def main() -> int:
    """Generate, or compare with what is committed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    write_image()
    if not check:
        for pattern in GENERATED:
            for path in (ROOT / "studbook").rglob(pattern):
                path.unlink()
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(Path(folder))
    for stub in stale:
        print(f"not what protos/ gives: {stub} (run `make generate`)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
