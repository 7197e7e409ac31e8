# Prints a YAML file as JSON, as PyYAML reads it. A key that is no text, such as GitHub's "on", becomes text.
import json
import sys

import yaml

with open(sys.argv[1]) as file:
    print(json.dumps(yaml.safe_load(file)))
