"""The official OpenAI Python SDK, unchanged, against the gateway in front of the stand-ins.

    python openai_python.py GROUP

GROUP is one of those at the end; each wants a gateway of its own, because faults leave breakers open. Reads
GALLERIST_BASE_URL, GALLERIST_API_KEY, GALLERIST_ADMIN_KEY and GALLERIST_FAKES (a JSON object of kind and
origin); `deadline` also GALLERIST_DEADLINE_MS, `shutdown` also GALLERIST_PROCESS, the gateway's process id,
since it ends the gateway. Prints `ok CASE` or `FAIL CASE: reason` for each case and exits 1 when one failed.
`cargo xtask test` runs it.
"""

import base64
import io
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from decimal import Decimal

import openai
from PIL import Image

BASE_URL = os.environ["GALLERIST_BASE_URL"]
API_KEY = os.environ["GALLERIST_API_KEY"]
ADMIN_KEY = os.environ["GALLERIST_ADMIN_KEY"]
FAKES = json.loads(os.environ["GALLERIST_FAKES"])

failures = 0


def client(**options):
    return openai.OpenAI(**{"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 120} | options)


def counting_client(**options):
    """A client with the SDK's own retries, and the list of requests that it sends."""
    sent = []
    transport = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    options = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 2, "timeout": 120} | options
    return openai.OpenAI(**options, http_client=transport), sent


def fake(kind, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{FAKES[kind]}/_fake/{path}", data=data, method=method)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def fault_everywhere(name):
    for kind in FAKES:
        fake(kind, "PUT", "faults", [{"fault": name, "probability": 1.0}])


def bills():
    """Entries of each stand-in's own bill."""
    return {kind: len(fake(kind, "GET", "bill")["entries"]) for kind in FAKES}


def picture(encoded):
    opened = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
    opened.load()
    return opened


def check(condition, complaint):
    if not condition:
        raise AssertionError(complaint)


def settled_bill(kind="openai"):
    """Entries of one stand-in's bill, once nothing is added to it any more."""
    before = None
    while (after := bills()[kind]) != before:
        before = after
        time.sleep(0.5)
    return after


def raises(kind, call, status=None, code=None, param=None):
    """The error that `call` raises, which must be exactly of the SDK's class `kind`."""
    try:
        call()
    except openai.APIError as error:
        check(type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}")
        for name, wanted in (("status_code", status), ("code", code), ("param", param)):
            if wanted is not None:
                actual = getattr(error, name, None)
                check(actual == wanted, f"{name} is {actual!r}, not {wanted!r}: {error}")
        check(error.message, "the error has no message")
        return error
    raise AssertionError(f"no {kind.__name__}")


def case(name, run):
    global failures
    try:
        run()
        print(f"ok {name}", flush=True)
    except Exception as error:  # Every case is run; the reason is the report.
        failures += 1
        reason = " ".join(str(error).split())[:400]
        print(f"FAIL {name}: {type(error).__name__}: {reason}", flush=True)


def models():
    return [model.id for model in client().models.list()]


def streaming_model():
    named = [model for model in models() if model.startswith("gpt-image-2")]
    check(named, "no gpt-image-2 model is listed")
    return named[0]


def surface():
    generate = client().images.generate

    def one_picture():
        answer = generate(model="auto", prompt="a red kite over a hill", size="1024x1024")
        check(len(answer.data) == 1, f"{len(answer.data)} pictures")
        check(picture(answer.data[0].b64_json).size == (1024, 1024), "another size")
        check(answer.created > 0, "no time of creation")
        cost = answer.gallerist["cost"]
        check(Decimal(cost["charged_usd"]) > 0 and cost["lines"], f"no cost: {cost}")

    def four_distinct():
        answer = generate(model="auto", prompt="four kites", n=4, size="1024x1024")
        check(len(answer.data) == 4, f"{len(answer.data)} pictures")
        check(len({item.b64_json for item in answer.data}) == 4, "two pictures are the same")
        check(all(picture(item.b64_json).size == (1024, 1024) for item in answer.data), "another size")

    def of_size(size):
        answer = generate(model="auto", prompt="a kite of a certain size", size=size)
        width, height = picture(answer.data[0].b64_json).size
        check(f"{width}x{height}" == size, f"{width}x{height} instead of {size}")

    def of_format(output_format):
        answer = generate(model=streaming_model(), prompt="a kite", output_format=output_format)
        actual = picture(answer.data[0].b64_json).format.lower()
        check(actual == output_format, f"{actual} instead of {output_format}")

    def by_address():
        answer = generate(model="auto", prompt="a kite to be fetched", response_format="url", size="1024x1024")
        with urllib.request.urlopen(answer.data[0].url, timeout=30) as fetched:
            opened = Image.open(io.BytesIO(fetched.read()))
        check(opened.size == (1024, 1024), f"{opened.size}")

    def streamed():
        events = list(
            generate(model=streaming_model(), prompt="a kite, streamed", stream=True, partial_images=2, size="1024x1024")
        )
        kinds = [event.type for event in events]
        check(kinds[-1] == "image_generation.completed", f"{kinds}")
        check(kinds.count("image_generation.completed") == 1, f"{kinds}")
        partials = [event for event in events if event.type == "image_generation.partial_image"]
        check(partials, "no partial images")
        check([event.partial_image_index for event in partials] == list(range(len(partials))), "wrong indexes")
        check(all(picture(event.b64_json).size == (1024, 1024) for event in events), "another size")

    def streamed_elsewhere():
        others = [model for model in models() if not model.startswith("gpt-image") and "/" not in model and model != "auto"]
        check(others, "only OpenAI's models are listed")
        events = list(generate(model=others[0], prompt="a kite, not streamed by its maker", stream=True))
        check([event.type for event in events] == ["image_generation.completed"], f"{events}"[:200])
        picture(events[0].b64_json)

    def listed():
        names = models()
        check("auto" in names, f"no auto in {names}")
        check(len(names) >= 8, f"only {len(names)} models")
        check(client().models.retrieve("auto").id == "auto", "auto cannot be retrieved")

    def with_raw_headers():
        raw = client().images.with_raw_response.generate(model="auto", prompt="a kite with headers")
        for name in ("request-id", "provider", "model", "cost-usd", "cost-basis", "attempts"):
            check(raw.headers.get(f"x-gallerist-{name}"), f"no header x-gallerist-{name}")
        check(raw.headers.get("x-request-id"), "no header x-request-id")
        raw.parse()

    def repeated_by_key():
        headers = {"Idempotency-Key": "python-1"}
        first = generate(model="auto", prompt="once", extra_headers=headers)
        before = bills()
        again = generate(model="auto", prompt="once", extra_headers=headers)
        check(first.data[0].b64_json == again.data[0].b64_json, "another picture")
        check(bills() == before, "it was bought again")
        other = lambda: generate(model="auto", prompt="something else", extra_headers=headers)
        raises(openai.UnprocessableEntityError, other, 422)

    case("one picture", one_picture)
    case("n=4, all different", four_distinct)
    for size in ("1024x1024", "1536x1024", "1024x1536"):
        case(f"size {size}", lambda size=size: of_size(size))
    for output_format in ("png", "jpeg", "webp"):
        case(f"format {output_format}", lambda output_format=output_format: of_format(output_format))
    case("response_format url", by_address)
    case("stream with partial images", streamed)
    case("stream of a model that does not stream", streamed_elsewhere)
    case("models", listed)
    case("headers", with_raw_headers)
    case("Idempotency-Key", repeated_by_key)


def errors():
    generate = client().images.generate
    extension = lambda **fields: {"gallerist": fields}
    before = bills()

    for name, fields, param in (
        ("size", {"size": "12x"}, "size"),
        ("n", {"n": 100_000}, "n"),
        ("empty prompt", {"prompt": ""}, "prompt"),
        ("unknown field", {"extra_body": {"sise": "1024x1024"}}, "sise"),
    ):
        request = {"model": "auto", "prompt": "a kite"} | fields
        call = lambda request=request: generate(**request)
        case(f"400 {name}", lambda call=call, param=param: raises(openai.BadRequestError, call, 400, param=param))

    stranger = client(api_key="sk-of-nobody").images.generate
    unauthorised = lambda: raises(
        openai.AuthenticationError, lambda: stranger(model="auto", prompt="x"), 401, "invalid_api_key"
    )
    case("401 unknown key", unauthorised)
    unknown = lambda: generate(model="no-such-model", prompt="x")
    case("404 unknown model", lambda: raises(openai.NotFoundError, unknown, 404, "model_not_found"))
    absent = lambda: client().models.retrieve("no-such-model")
    case("404 unknown model retrieved", lambda: raises(openai.NotFoundError, absent, 404, "model_not_found"))
    dear = lambda: generate(model="auto", prompt="x", extra_body=extension(max_cost_usd="0.0000001"))
    case("422 too dear", lambda: raises(openai.UnprocessableEntityError, dear, 422, "cost_limit_exceeded"))
    nobody = lambda: generate(model="auto", prompt="x", extra_body=extension(loras=[{"id": "kite", "weight": 0.8}]))
    case("422 nobody can", lambda: raises(openai.UnprocessableEntityError, nobody, 422, "no_offer"))
    case("errors cost nothing", lambda: check(bills() == before, f"{before} became {bills()}"))

    def moderated():
        fault_everywhere("moderation")
        call = lambda: generate(model="auto", prompt="something refused")
        raises(openai.BadRequestError, call, 400, "moderation_blocked")

    case("400 moderation", moderated)


def raw(key, method, path, body=None):
    """A call beside the SDK's resources, through the SDK."""
    sdk = client(api_key=key)
    options = {"cast_to": object} if body is None else {"cast_to": object, "body": body}
    return getattr(sdk, method)(path, **options)


def accounts():
    """Errors about who asks, how much, and what there is already."""
    generate = client().images.generate
    before = bills()

    def over_the_cap():
        raw(ADMIN_KEY, "post", "/projects", {"id": "python-poor", "cap_usd": "0.0001"})
        key = raw(ADMIN_KEY, "post", "/keys", {"project": "python-poor", "name": "poor"})["key"]
        retrying, sent = counting_client(api_key=key)
        call = lambda: retrying.images.generate(model=streaming_model(), prompt="a kite beyond the means")
        # The SDK has no class for 402: its plain status error is raised.
        error = raises(openai.APIStatusError, call, 402, "budget_exceeded")
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
        check("cap" in error.message, error.message)

    def too_large():
        retrying, sent = counting_client()
        call = lambda: retrying.images.generate(model="auto", prompt="a" * (9 << 20))
        raises(openai.APIStatusError, call, 413, "payload_too_large")
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")

    def forbidden(method, path, body=None):
        raises(openai.PermissionDeniedError, lambda: raw(API_KEY, method, path, body), 403)

    def conflict():
        raw(ADMIN_KEY, "post", "/projects", {"id": "python-twice"})
        retrying, sent = counting_client(api_key=ADMIN_KEY)
        again = lambda: retrying.post("/projects", cast_to=object, body={"id": "python-twice"})
        raises(openai.ConflictError, again, 409)
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")

    case("402 beyond the cap", over_the_cap)
    case("413 a body of 9 MiB", too_large)
    case("403 keys, for a client key", lambda: forbidden("get", "/keys"))
    case("403 a new project, for a client key", lambda: forbidden("post", "/projects", {"id": "mine"}))
    case("409 a project that there is", conflict)
    nowhere = lambda: client(base_url="http://127.0.0.1:1/v1").images.generate(model="auto", prompt="x")
    case("no connection", lambda: raises(openai.APIConnectionError, nowhere))
    case("none of it cost anything", lambda: check(bills() == before, f"{before} became {bills()}"))

    def late_error(fault):
        fake("openai", "PUT", "faults", [{"fault": fault, "count": 1}])
        stream = generate(model=streaming_model(), prompt=f"a kite, {fault}", stream=True, partial_images=1)
        check(stream.response.headers.get("x-request-id"), "the headers of the stream name no request")
        error = raises(openai.APIError, lambda: list(stream), code="upstream_failed")
        check(error.body["gallerist"]["disputed_usd"], f"{error.body}")

    for fault in ("stream_cut", "stream_error"):
        case(f"{fault} in the middle of a stream", lambda fault=fault: late_error(fault))


def client_timeout():
    """The client's patience ends before the picture is made: what the SDK then does must not buy another."""
    model = streaming_model()

    def slow(prompt, ms, **options):
        fake("openai", "PUT", "faults", [{"fault": "latency", "ms": ms}])
        retrying, sent = counting_client(**options)
        before = settled_bill()
        call = lambda: retrying.images.generate(model=model, prompt=prompt)
        return call, sent, lambda: settled_bill() - before

    def gives_up():
        call, sent, bought = slow("a kite, too late", 2_500, timeout=1, max_retries=0)
        raises(openai.APITimeoutError, call)
        check(bought() == 1, f"bought {bought()} times")

    def retries_in_vain():
        call, sent, bought = slow("a kite, much too late", 8_000, timeout=1, max_retries=2)
        raises(openai.APITimeoutError, call)
        check(len(sent) == 3, f"the SDK sent {len(sent)} requests")
        check(bought() == 1, f"bought {bought()} times")

    def joins():
        call, sent, bought = slow("a kite, at last", 3_000, timeout=2, max_retries=2)
        answer = call()
        check(len(sent) > 1, "the first try was not cut off")
        check(picture(answer.data[0].b64_json), "no picture")
        check(bought() == 1, f"bought {bought()} times")

    case("a timeout without retries buys once", gives_up)
    case("a timeout after two retries buys once", retries_in_vain)
    case("a retry after a timeout gets the picture of the first try", joins)


def rate_limited():
    fault_everywhere("429")

    def limited():
        call = lambda: client().images.generate(model="auto", prompt="a kite in the rush")
        error = raises(openai.RateLimitError, call, 429, "rate_limited")
        check(error.response.headers.get("retry-after"), "no retry-after")

    case("429 from everywhere", limited)


def upstream_failed():
    fault_everywhere("500")
    call = lambda: client().images.generate(model="auto", prompt="a kite in a storm")
    case("502 when every offer fails", lambda: raises(openai.InternalServerError, call, 502, "upstream_failed"))


def no_second_payment():
    """Every stand-in makes the picture, bills it and cuts the line: nobody may buy again."""
    model = streaming_model()
    fault_everywhere("reset_after")

    def paid_once_each():
        retrying, sent = counting_client()
        before = bills()
        call = lambda: retrying.images.generate(model="auto", prompt="a kite, paid once")
        error = raises(openai.InternalServerError, call)
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
        check(error.response.headers.get("x-should-retry") == "false", "no x-should-retry: false")
        bought = {kind: count - before[kind] for kind, count in bills().items() if count > before[kind]}
        check(bought, "nothing was billed: the fault did not bite")
        check(all(count == 1 for count in bought.values()), f"bought twice at one provider: {bought}")

    def at_one_provider():
        retrying, sent = counting_client()
        before = bills()
        only = {"gallerist": {"providers": {"only": ["openai"]}}}
        call = lambda: retrying.images.generate(model=model, prompt="a kite at one provider", extra_body=only)
        error = raises(openai.InternalServerError, call)
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
        check(error.response.headers.get("x-should-retry") == "false", "no x-should-retry: false")
        bought = sum(bills().values()) - sum(before.values())
        check(bought == 1, f"bought {bought} times")

    case("no second payment, at one provider", at_one_provider)
    case("no second payment, on a route", paid_once_each)


def bought_at_one_provider(fault, **fields):
    """Buys at OpenAI's stand-in, with the SDK's own retries, what the fault spoils; the error."""
    model = streaming_model()
    fake("openai", "PUT", "faults", [fault])
    retrying, sent = counting_client()
    before = settled_bill()
    stream = fields.get("stream", False)

    def call():
        answer = retrying.images.generate(
            model=model,
            prompt=f"a kite, {fault['fault']}, {stream}",
            size="1024x1024",
            extra_body={"gallerist": {"providers": {"only": ["openai"]}}},
            **fields,
        )
        return list(answer) if stream else answer

    try:
        call()
        raise AssertionError("it was delivered")
    except openai.APIError as raised:
        error = raised
    bought = settled_bill() - before
    check(bought == 1, f"bought {bought} times, by {len(sent)} requests")
    check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
    return error


def spoilt_but_billed():
    """Whatever spoils a picture that was made and billed, the SDK does not buy another by itself."""
    for name in ("reset_after", "truncated", "malformed", "wrong_size", "blank", "moderation_output"):
        for stream in (False, True):
            fields = {"stream": True} if stream else {}
            run = lambda name=name, fields=fields: bought_at_one_provider({"fault": name}, **fields)
            case(f"{name}{', streamed' if stream else ''} buys once", run)
    for name in ("stream_cut", "stream_error"):
        for partial_images in (0, 1):
            fields = {"stream": True, "partial_images": partial_images}
            run = lambda name=name, fields=fields: bought_at_one_provider({"fault": name}, **fields)
            case(f"{name} with {partial_images} partial images buys once", run)


def deadline():
    """The gateway's own patience ends: 504, and no second payment."""
    patience_ms = int(os.environ["GALLERIST_DEADLINE_MS"])

    def hang():
        error = bought_at_one_provider({"fault": "hang", "ms": patience_ms + 1_000})
        check(type(error) is openai.InternalServerError, f"{type(error).__name__}: {error}")
        check((error.status_code, error.code) == (504, "upstream_timeout"), f"{error}")
        check(error.response.headers.get("x-should-retry") == "false", "no x-should-retry: false")

    case("504 when nobody answers in time, bought once", hang)


def shutdown():
    """The gateway ends: who has begun gets the picture, who only joined is sent away for a while."""
    model = streaming_model()
    fake("openai", "PUT", "faults", [{"fault": "latency", "ms": 3_000}])
    before = settled_bill()
    generate = lambda **options: client().images.generate(model=model, prompt="a kite in the evening", **options)
    answers = []

    def begun():
        answers.append(generate())

    def joined():
        call = lambda: generate(extra_headers={"x-stainless-retry-count": "1"})
        error = raises(openai.InternalServerError, call, 503, "overloaded")
        check(error.response.headers.get("retry-after"), "no retry-after")

    def whole():
        first.join()
        check(len(answers) == 1 and picture(answers[0].data[0].b64_json), "the first has no picture")
        check(settled_bill() - before == 1, "it was not bought once")

    first = threading.Thread(target=begun)
    first.start()
    time.sleep(1)
    threading.Timer(0.7, lambda: os.kill(int(os.environ["GALLERIST_PROCESS"]), signal.SIGTERM)).start()
    case("503 at a shutdown", joined)
    case("what was under way is delivered", whole)


GROUPS = (
    surface,
    errors,
    accounts,
    client_timeout,
    rate_limited,
    upstream_failed,
    no_second_payment,
    spoilt_but_billed,
    deadline,
    shutdown,
)

if __name__ == "__main__":
    chosen = [group for group in GROUPS if sys.argv[1:] == [group.__name__]]
    if not chosen:
        sys.exit(__doc__)
    chosen[0]()
    sys.exit(1 if failures else 0)
