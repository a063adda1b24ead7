"""Run the notebook over a source's tables and write it, with all it shows, as one page: the rule `execute_notebook`."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from vitbench.errors import run_logged
from vitbench.files import HOME, write_atomically

PARAMETERS = "parameters"  # tag of the cell that says where the tables are
SECONDS = 600  # that a cell may take, or the start of what runs it
LONGEST = 90  # bytes of a socket's name, of the 103 that every system allows: a number follows
# The page asks for nothing from anywhere: what the usual template would fetch is for formulas and widgets, and the
# notebook has none. A picture's text is the one that its cell has as `alt`.
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
alt="{{ cell.metadata.get('alt', '') | escape_html }}">
</div>
{%- endblock data_png -%}
"""


def main(notebook: Path, results: Path, out: Path) -> None:
    """Execute a copy of the notebook in the working directory, and write it as HTML.

    Args:
        notebook: one cell of it has the tag `parameters`.
        results: folder of the tables, relative to the working directory.

    Raises:
        CellExecutionError: a cell failed; names it, and says what Python said.
    """
    book = nbformat.read(notebook, as_version=4)
    (cell,) = [cell for cell in book.cells if PARAMETERS in cell.metadata.get("tags", [])]
    given = {"checkout": os.path.relpath(HOME), "results": os.fspath(results)}
    cell.source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, own_jupyter(folder):
        client = NotebookClient(
            book,
            timeout=SECONDS,
            startup_timeout=SECONDS,
            iopub_timeout=SECONDS,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,  # or a line is torn where the kernel sent what it had so far
            resources={"metadata": {"path": "."}},
            extra_arguments=["--log-level=ERROR"],  # or it says of each run that it talks to this machine by TCP
        )
        kernel, place = client.create_kernel_manager(), os.path.join(folder, "kernel")
        if len(os.fsencode(place)) <= LONGEST:
            # Ports are looked for before the kernel takes them: another program may have been quicker.
            kernel.transport, kernel.ip = "ipc", place
        client.execute()
        page, _ = HTMLExporter(raw_template=TEMPLATE, exclude_anchor_links=True).from_notebook_node(book)
    write_atomically(out, page)


@contextmanager
def own_jupyter(folder: str) -> Iterator[None]:
    """While it lasts Jupyter finds and leaves nothing in the user's home: no configuration, start-up file or kernel."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: os.path.join(folder, name.lower()) for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.notebook),
        Path(snakemake.input.runs).parent,
        Path(snakemake.output[0]),
    )
