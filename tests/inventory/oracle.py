"""What Ansible makes of inventories. Reads a list of {path, patterns} as JSON, and prints for each the hosts of every
pattern, in order, with how they are reached, their groups and labels; or the word "error"."""

import json
import os
import sys
import tempfile

os.environ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "true"
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "false"
# Ansible makes the home where it is missing, and other tests rely on what is not there.
home = tempfile.TemporaryDirectory()
os.environ["HOME"] = home.name
os.chdir("/")

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

Display.display = lambda *args, **kwargs: None

NAMES = {
    "address": ["ansible_host", "ansible_ssh_host"],
    "user": ["ansible_user", "ansible_ssh_user"],
    "port": ["ansible_port", "ansible_ssh_port"],
    "zone": ["zone"],
    "rack": ["rack"],
}


def described(host, loader, variables):
    templar = Templar(loader=loader, variables=variables)
    found = {"host": host.name.lower(), "groups": sorted(g.name for g in host.get_groups() if g.name != "all")}
    for what, names in NAMES.items():
        values = [templar.template(variables[name]) for name in names if name in variables]
        # The last of several names wins, as in the options of Ansible's connection by SSH.
        found[what] = str(values[-1]) if values and values[-1] not in (None, "") else None
    if found["address"] and found["address"].lower() == found["host"]:
        found["address"] = None
    return found


def read(case):
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[case["path"]])
    manager = VariableManager(loader=loader, inventory=inventory)
    hosts = lambda pattern: inventory.list_hosts(pattern)
    return [
        [described(host, loader, manager.get_vars(host=host)) for host in hosts(pattern)] for pattern in case["patterns"]
    ]


def outcome(case):
    try:
        return read(case)
    except AnsibleError as error:
        print(case["path"], error, file=sys.stderr)
        return "error"


print(json.dumps([outcome(case) for case in json.load(sys.stdin)]))
