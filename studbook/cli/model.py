"""`studbook model`: register, find, promote and explain model versions."""

import typer

from studbook.cli import model_change, model_read

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Register, find, promote and explain model versions.",
)

app.command("ls")(model_read.list_models)
app.command("show")(model_read.show_model)
app.command("history")(model_read.show_history)
app.command("lineage")(model_read.show_lineage)
app.command("register")(model_change.register_version)
app.command("promote")(model_change.promote_version)
app.command("rollback")(model_change.roll_back)
