"""Writes invoices and reminders: one batch of messages in, the identifiers of those that failed out."""

import json
import logging
from decimal import Decimal, InvalidOperation

log = logging.getLogger()
log.setLevel(logging.INFO)


def handler(event, context):
    failed = []
    for record in event["Records"]:
        try:
            work(json.loads(record["body"]))
        except Exception as problem:  # whatever it is, the other messages of the batch are not to blame
            tries = record["attributes"]["ApproximateReceiveCount"]
            log.warning("message %s failed, try %s: %s", record["messageId"], tries, problem)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def work(job):
    try:
        amount = Decimal(job["amount"])
    except (KeyError, InvalidOperation):
        raise ValueError(f"{job['kind']} without an amount") from None
    if amount <= 0:
        raise ValueError("there is nothing to pay")
    log.info("%s over %s EUR for %s", job["kind"], amount, job["customer"])
