"""Makes pictures through the `webuiapi` package and looks at them.

    python witness_automatic1111.py ORIGIN [USER:PASSWORD]

Without arguments AUTOMATIC1111_ORIGIN and AUTOMATIC1111_AUTH are read; engines ask for no key by default. Prints
lines that begin with `ok`; exits 1 with the reason otherwise.
"""

import os
import sys

import webuiapi


def setting(index, variable, default=None):
    value = sys.argv[index] if len(sys.argv) > index else os.environ.get(variable, default)
    if value is None:
        sys.exit(f"missing argument {index} or {variable}")
    return value


def main():
    origin, auth = setting(1, "AUTOMATIC1111_ORIGIN"), setting(2, "AUTOMATIC1111_AUTH", "")
    user, _, password = auth.partition(":")
    api = webuiapi.WebUIApi(
        baseurl=f"{origin.rstrip('/')}/sdapi/v1", username=user or None, password=password or None
    )
    checkpoints = api.util_get_model_names()
    if not checkpoints or not api.get_samplers():
        sys.exit("the engine lists no checkpoints or samplers")
    print(f"ok lists {len(checkpoints)} checkpoints")

    result = api.txt2img(
        prompt="a stone bridge", negative_prompt="people", seed=5, steps=20, cfg_scale=6, width=768, height=512,
        batch_size=2, override_settings={"sd_model_checkpoint": checkpoints[0]},
    )
    sizes = [picture.size for picture in result.images]
    if sizes != [(768, 512)] * 2 or result.info["all_seeds"] != [5, 6]:
        sys.exit(f"unexpected pictures {sizes}, info {result.info}")
    if "a stone bridge" not in result.images[0].text.get("parameters", ""):
        sys.exit(f"no parameters in the file: {result.images[0].text}")
    print(f"ok txt2img {len(sizes)} pictures of 768x512, seeds {result.info['all_seeds']}")

    api.set_options({"sd_model_checkpoint": checkpoints[-1]})
    if checkpoints[-1] not in api.get_options()["sd_model_checkpoint"]:
        sys.exit("the checkpoint was not switched")
    print(f"ok options {checkpoints[-1]}")

    api.interrupt()
    if api.get_progress()["progress"] != 0:
        sys.exit("an idle engine reports progress")
    print("ok progress and interrupt")

    try:
        api.txt2img(prompt="x", sampler_name="no such sampler")
        sys.exit("an unknown sampler was accepted")
    except RuntimeError as error:
        if error.args[0] != 404:
            sys.exit(f"expected 404, got {error.args}")
        print("ok refusal 404")


if __name__ == "__main__":
    main()
