"""Nothing in the project runs what comes with data: docs/security.md, checked in its source."""

import ast
from pathlib import Path

import pytest

FILES = sorted([*Path("src").rglob("*.py"), *Path("workflow").rglob("*.py")])
# Modules whose files run code as they are read.
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__"}
# What these take, and with which argument they are safe.
SAFE = {
    "torch.load": ("weights_only", True),
    "load_state_dict": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
UNSAFE = {
    *("os.system", "os.popen", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "shutil.unpack_archive"),
}
# Of any function.
ARGUMENTS = {"trust_remote_code": False, "shell": False, "allow_pickle": False}
METHODS = {"extractall"}


def found(source: str) -> list[str]:
    """What a source has that could run or write what a file says."""
    return [what for node in ast.walk(ast.parse(source)) for what in found_in(node)]


def found_in(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names if name.name.split(".")[0] in PICKLES]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if (node.module or "").split(".")[0] in PICKLES else []
    if not isinstance(node, ast.Call):
        return []
    name = ast.unparse(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    wrong = [
        f"{argument} of {name}"
        for argument, safe in ARGUMENTS.items()
        if argument in given and not is_constant(given[argument], safe)
    ]
    if name in SAFE:
        argument, safe = SAFE[name]
        wrong += [] if is_constant(given.get(argument), safe) else [f"{name} without {argument}"]
    called = name in CALLS or name in UNSAFE or name.rpartition(".")[2] in METHODS
    return [*wrong, name] if called else wrong


def is_constant(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_runs_code_or_says_where_it_is_unpacked(path):
    assert found(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=maybe)",
        "load_state_dict(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "yaml.load(text, Loader)",
        "tar.extractall(folder)",
        "eval(text)",
    ],
)
def test_it_would_be_seen(source):
    assert found(source)


@pytest.mark.parametrize(
    "source", ["torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)"]
)
def test_what_is_safe_is_let_pass(source):
    assert found(source) == []
