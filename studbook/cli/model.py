"""`studbook model`: register, find, promote and explain model versions."""

import typer

from studbook.cli import (
    model_certificate,
    model_change,
    model_compare,
    model_names,
    model_read,
    model_review,
    model_watch,
)

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
app.command("compare")(model_compare.compare_versions)
app.command("check-inputs")(model_compare.check_inputs)
app.command("edit")(model_names.edit)
app.add_typer(model_names.alias_app, name="alias")
app.command("certificate")(model_certificate.write_certificate)
app.command("sign")(model_certificate.sign_files)
app.command("register")(model_change.register_version)
app.command("promote")(model_change.promote_version)
app.command("rollback")(model_change.roll_back)
app.command("watch")(model_watch.watch_models)
app.command("explain")(model_review.explain_promotion)
app.command("request")(model_review.request_promotion)
app.command("requests")(model_review.list_requests)
app.command("approve")(model_review.approve_request)
app.command("reject")(model_review.reject_request)
app.command("cancel")(model_review.cancel_request)
