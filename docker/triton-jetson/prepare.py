"""A model repository for one Jetson: links to the weights, and the configuration of this device.

In: the repository of the image, one of its overlays (cpu, ortcuda, trt), a precision, and engines
that build_engines.sh made, if any. Out: a folder in which every `config.pbtxt` is that overlay, for
servers that know no --model-config-name (before 2.46: JetPack 4.6 and 5). What must hold: tensor
names, types and dims are never touched; weights are linked, not copied; only Python 3.6 syntax and
the standard library, because that is what JetPack 4.6 has.
"""

import argparse
import os
import re
import shutil
import sys

ENGINES = "/var/cache/sentinode/engines"


def main():
    """Write the folder anew."""
    arguments = _arguments()
    shutil.rmtree(arguments.out, ignore_errors=True)
    for name in sorted(os.listdir(arguments.models)):
        source = os.path.join(arguments.models, name)
        if os.path.isfile(os.path.join(source, "config.pbtxt")):
            _write(source, os.path.join(arguments.out, name), arguments)
            print(f"prepared {name}: {arguments.config}", flush=True)


def configuration(text, precision, engine=None):
    """The overlay with this precision; served from an engine where there is one.

    Mask R-CNN stays in single precision: half loses whole pixels in box decoding, and its index
    arithmetic fails above 2048.
    """
    if re.search(r'^name: "mask_rcnn', text, flags=re.M):
        precision = "FP32"
    text = re.sub(r'(key: "precision_mode" value: )"FP32"', rf'\1"{precision}"', text)
    if engine is None:
        return text
    # The engine replaces backend and accelerator; everything that a worker sees stays.
    text = re.sub(r'^backend: "[a-z]+"$', 'backend: "tensorrt"', text, flags=re.M)
    text = re.sub(r"^optimization \{.*?^\} \] \} \}\n", "", text, flags=re.M | re.S)
    return text + f'default_model_filename: "{os.path.basename(engine)}"\n'


def _write(source, target, arguments):
    version = os.path.join(target, "1")
    os.makedirs(version)
    for name in os.listdir(os.path.join(source, "1")):
        os.symlink(os.path.join(source, "1", name), os.path.join(version, name))
    engine = os.path.join(arguments.engines, os.path.basename(source) + ".plan")
    if os.path.isfile(engine) and arguments.config != "cpu":
        os.symlink(engine, os.path.join(version, os.path.basename(engine)))
    else:
        engine = None
    overlay = os.path.join(source, "configs", arguments.config + ".pbtxt")
    with open(overlay) as file:
        text = file.read()
    with open(os.path.join(target, "config.pbtxt"), "w") as file:
        file.write(configuration(text, arguments.precision, engine))


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--config", choices=["cpu", "ortcuda", "trt"], required=True)
    parser.add_argument("--precision", choices=["FP16", "FP32"], default="FP16")
    parser.add_argument("--engines", default=ENGINES)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
