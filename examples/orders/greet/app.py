"""An ordinary AWS Lambda function: an HTTP API event in, an answer out."""

import unicodedata


def handler(event, context):
    name = event["pathParameters"]["name"]
    # A name is letters, marks, spaces and a few signs; whatever else somebody sends is not echoed.
    clean = "".join(c for c in name if unicodedata.category(c)[0] in "LM" or c in " '-.")[:40].strip()
    print(f"greeting {len(clean)} letters for request {context.aws_request_id}")
    if not clean:
        return {"statusCode": 422, "body": '{"message":"that is no name"}', "headers": {"content-type": "application/json"}}
    return {"message": f"Hello, {clean}!", "function": context.function_name}
