"""Makes pictures through the official `fal-client` SDK and looks at them.

    python witness_fal.py ORIGIN KEY [CERTIFICATE.pem]

Without arguments FAL_ORIGIN, FAL_KEY and SSL_CERT_FILE are read. An https origin is used as the SDK means it (hosts
by environment, read at import); for plain http its two address formats are overwritten. Prints lines that begin with
`ok`; exits 1 with the reason otherwise.
"""

import io
import os
import sys

import httpx
from PIL import Image


def setting(index, variable, default=None):
    value = sys.argv[index] if len(sys.argv) > index else os.environ.get(variable, default)
    if value is None:
        sys.exit(f"missing argument {index} or {variable}")
    return value


def sdk(origin, certificate):
    scheme, host = origin.rstrip("/").split("://")
    if certificate:
        os.environ["SSL_CERT_FILE"] = certificate
    os.environ["FAL_QUEUE_RUN_HOST"] = host
    os.environ["FAL_RUN_HOST"] = f"{host}/run"
    import fal_client

    if scheme == "http":
        fal_client.client.QUEUE_URL_FORMAT = f"http://{host}/"
        fal_client.client.RUN_URL_FORMAT = f"http://{host}/run/"
    return fal_client


def check(result, size, count):
    if len(result["images"]) != count:
        sys.exit(f"expected {count} pictures, got {len(result['images'])}")
    for image in result["images"]:
        file = httpx.get(image["url"]).raise_for_status()
        picture = Image.open(io.BytesIO(file.content))
        picture.load()
        if picture.size != size or Image.MIME[picture.format] != image["content_type"]:
            sys.exit(f"expected {image['content_type']} {size}, got {picture.format} {picture.size}")


def main():
    origin, key, certificate = setting(1, "FAL_ORIGIN"), setting(2, "FAL_KEY"), setting(3, "SSL_CERT_FILE", "")
    fal_client = sdk(origin, certificate)
    client = fal_client.SyncClient(key=key)

    seen = []
    result = client.subscribe(
        "fal-ai/flux/dev",
        {"prompt": "tin robot", "image_size": {"width": 1280, "height": 720}, "num_images": 2, "seed": 4,
         "num_inference_steps": 28, "guidance_scale": 3.5, "output_format": "png"},
        with_logs=True,
        on_queue_update=lambda status: seen.append(type(status).__name__),
        headers={"x-app-fal-disable-fallback": "true"},
    )
    check(result, (1280, 720), 2)
    if seen[-1] != "Completed" or result["seed"] != 4:
        sys.exit(f"unexpected course: {seen}, seed {result['seed']}")
    print(f"ok subscribe {' '.join(dict.fromkeys(seen))}, 2 pictures of 1280x720")

    handle = client.submit("fal-ai/flux-2-pro", {"prompt": "the same", "image_size": "square_hd"})
    check(handle.get(), (1024, 1024), 1)
    print("ok submit and get")

    check(client.run("fal-ai/flux/schnell", {"prompt": "quickly", "image_size": "square"}), (512, 512), 1)
    print("ok run")

    try:
        client.subscribe("fal-ai/flux/dev", {"prompt": "too many", "num_images": 9})
        sys.exit("nine pictures were accepted")
    except fal_client.FalClientHTTPError as error:
        if error.status_code != 422:
            sys.exit(f"expected 422, got {error.status_code}")
        print(f"ok refusal {error.status_code} {error.error_type}")


if __name__ == "__main__":
    main()
