"""Looks at each site and reports: the scheduled event of EventBridge in, a summary out, and as a line of the log."""

import json
import logging
import os
import ssl
import time
import urllib.error
import urllib.request

log = logging.getLogger()
log.setLevel(logging.INFO)

# Sites of one's own may have a certificate authority of one's own: put its certificate beside this file.
own = os.path.join(os.path.dirname(__file__), "ca.pem")
context = ssl.create_default_context(cafile=own if os.path.exists(own) else None)


def handler(event, _):
    sites = [look(url) for url in os.environ["SITES"].split()]
    report = {
        "due": event["time"],
        "sites": sites,
        "down": [s["url"] for s in sites if not s["up"]],
    }
    log.info("availability: %d of %d are up", len(sites) - len(report["down"]), len(sites), extra={"report": report})
    return report


def look(url):
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            result = {"up": True, "status": answer.status, "bytes": len(answer.read(1 << 20))}
    except urllib.error.HTTPError as refusal:
        result = {"up": refusal.code < 500, "status": refusal.code}
    except OSError as problem:  # no such name, refused, too slow, a bad certificate
        result = {"up": False, "why": str(getattr(problem, "reason", problem))}
    return {"url": url, "ms": round((time.monotonic() - begun) * 1000), **result}
