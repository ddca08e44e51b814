"""The check of the source: what could run code, read files or reach elsewhere never gets to terraform."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput, NotFound, Refused
from factory.system import hcl
from factory.terraform.source_check import check_source
from tests.servers import ROOT
from tests.terraform.stacks import PROVIDERS

LIVE = "terraform/live/production"
GOOD = """
terraform {
  required_version = "~> 1.11"
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare", version = "= 5.14.0" }
  }
  backend "http" {}
}
provider "cloudflare" {}
data "cloudflare_zone" "x" {}
module "zone" { source = "../../modules/zone" }
"""


HIDDEN = """
locals {
  a = <<EOT
x
EOT{blanks}
}
data "external" "x" {
  program = ["id"]
}
locals {
  b = <<EOT
y
EOT
}
""".replace("{blanks}", "  ")
TWICE = """
terraform {
  required_providers {
    cloudflare = {
      version  = "5.14.0"
      "source" = "x/x"
      source   = "cloudflare/cloudflare"
      "source" = "evil/evil"
    }
  }
}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder, text in ((LIVE, GOOD), ("terraform/modules/zone", 'variable "a" {}\n')):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "main.tf").write_text(text)
    return tmp_path


def required(version: str) -> str:
    source = f'{{ source = "cloudflare/cloudflare", version = "{version}" }}'
    return f"terraform {{\n  required_providers {{\n    cloudflare = {source}\n  }}\n}}\n"


def test_a_module_takes_a_range_that_the_root_pins(tree: Path) -> None:
    module, root = tree / "terraform/modules/zone/main.tf", tree / LIVE / "main.tf"
    module.write_text(required(">= 5.14.0, < 6.0.0"))
    assert check_source(tree, LIVE, PROVIDERS).folders == (LIVE, "terraform/modules/zone")
    root.write_text(GOOD.replace("= 5.14.0", ">= 5.14.0"))
    with pytest.raises(Refused, match=r"in version >=5\.14\.0, not 5\.14\.0"):
        check_source(tree, LIVE, PROVIDERS)
    root.write_text('terraform {\n  backend "http" {}\n}\nmodule "zone" {\n  source = "../../modules/zone"\n}\n')
    with pytest.raises(Refused, match="does not pin the version of the provider cloudflare/cloudflare"):
        check_source(tree, LIVE, PROVIDERS)
    module.write_text(required("5.15.0"))
    with pytest.raises(Refused, match=r"in version 5\.15\.0"):
        check_source(tree, LIVE, PROVIDERS)


def test_a_root_is_its_own_files_and_those_of_its_modules(tree: Path) -> None:
    (tree / "terraform/modules/zone/tests").mkdir()
    (tree / "terraform/modules/other").mkdir()
    found = check_source(tree, LIVE, PROVIDERS)
    assert found.folders == (LIVE, "terraform/modules/zone")
    assert [name for name, _ in found.files] == [f"{LIVE}/main.tf", "terraform/modules/zone/main.tf"]


@pytest.mark.parametrize("root", [path.name for path in (ROOT / "terraform/live").iterdir()])
def test_our_own_roots_pass(root: str) -> None:
    assert check_source(ROOT, f"terraform/live/{root}", PROVIDERS).files


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('output "x" { value = file("/proc/self/environ") }', "the function file"),
        ('output "x" { value = templatefile ("x", {}) }', "the function templatefile"),
        ('output "x" { value = <<-E\n  ${file /* a */ ("x")}\n  E\n}', "heredocs are not supported"),
        ('output "x" { value = "${file("x")}" }', "the function file"),
        ('output "x" { value = fileset(".", "*") }', "the function fileset"),
        ('output "x" { value = templatestring(local.x, {}) }', "the function templatestring"),
        ('output "x" { value = nonsensitive(var.x) }', "the function nonsensitive"),
        ('output "x" { value = provider::x::read("y") }', "the function provider::x::read"),
        ('output "x" { value = file /* a */ ("x") }', "not readable as HCL"),
        ('data "external" "x" {}', "a data source external"),
        ('data "http" "x" {}', "a data source http"),
        ('data "terraform_remote_state" "x" {}', "a data source terraform_remote_state"),
        ('ephemeral "x" "y" {}', "the block 'ephemeral'"),
        ('provider "cloudflare" { base_url = "http://127.0.0.1:1" }', "the provider setting base_url"),
        ('provider "cloudflare" { "api_token" = "x" }', "not readable"),
        ('resource "terraform_data" "x" { provisioner "local-exec" { command = "id" } }', "a provisioner"),
        ('resource "terraform_data" "x" { connection { host = "x" } }', "a provisioner or connection"),
        ('terraform { required_providers { x = { source = "evil/x" } } }', "the provider 'evil/x'"),
        ('terraform { required_providers { x = { version = "1" } } }', "the provider 'x'"),
        ('terraform { required_providers { x = "1" } }', "the provider 'x'"),
        (
            'terraform { required_providers { x = { source = "cloudflare/cloudflare", version = "5.15.0" } } }',
            "in version 5.15.0, not 5.14.0",
        ),
        ('terraform { required_providers { x = { source = "cloudflare/cloudflare" } } }', "in version any"),
        ('terraform { backend "s3" {} }', "a backend other than"),
        ('terraform { backend "http" { address = "http://x" } }', "a backend other than"),
        ("terraform { cloud {} }", "the setting terraform.cloud"),
        ("terraform { experiments = [x] }", "the setting terraform.experiments"),
        ('module "x" { source = "../x" }', "the module '../x'"),
        ('module "x" { source = "../../modules/../../x" }', "the module"),
        ('module "x" { source = "git::https://host.test/x" }', "the module"),
        ('module "x" { source = "cloudflare/x/y" }', "the module"),
        ('module "x" { source = var.x }', "the module '${var.x}'"),
        ('module "x" {}', "the module None"),
        ('check "x" { assert { condition = true } }', "the block 'check'"),
        ('resource "x" {', "not readable as HCL"),
        ("x = 1", "differ about the blocks"),
        (HIDDEN, "heredocs are not supported"),
        (HIDDEN.replace("<<EOT", "<<-EOT"), "heredocs are not supported"),
        (TWICE, "duplicate key"),
        ('resource "random_id" "x" {}', "a resource random_id"),
        ('resource "terraform_data" {}', "a resource with 1 labels"),
        ('resource "cloudflare_zone" "x" { provider = random }', "the provider random"),
        ('provider "http" {}', "the provider http"),
        ("data __is_block__ external {}", "not readable"),
    ],
)
def test_what_is_refused_is_named(tree: Path, text: str, what: str) -> None:
    (tree / LIVE / "evil.tf").write_text(text + "\n")
    with pytest.raises(Refused) as refused:
        check_source(tree, LIVE, PROVIDERS)
    assert str(refused.value).startswith(f"{LIVE}/evil.tf: ")
    assert what in str(refused.value)


def test_a_module_is_checked_as_its_root_is(tree: Path) -> None:
    (tree / "terraform/modules/zone/evil.tf").write_text('data "external" "x" {}\n')
    with pytest.raises(Refused, match=r"modules/zone/evil\.tf: a data source external"):
        check_source(tree, LIVE, PROVIDERS)


@pytest.mark.parametrize(
    "name", ["a.tf.json", "x.auto.tfvars", "terraform.tfvars", "main.tofu", "main.tofu.json", "terraform.rc"]
)
def test_other_files_do_not_belong_there(tree: Path, name: str) -> None:
    (tree / LIVE / name).write_text("{}")
    with pytest.raises(Refused, match="a file that is not"):
        check_source(tree, LIVE, PROVIDERS)


def test_a_root_has_one_backend(tree: Path) -> None:
    (tree / LIVE / "main.tf").write_text('terraform {\n  required_version = "~> 1.11"\n}\n')
    with pytest.raises(Refused, match="0 backends; there must be exactly one"):
        check_source(tree, LIVE, PROVIDERS)
    (tree / LIVE / "main.tf").write_text('terraform {\n  backend "http" {}\n  backend "http" {}\n}\n')
    with pytest.raises(Refused, match="a backend"):
        check_source(tree, LIVE, PROVIDERS)


def test_a_comment_that_nearly_calls_a_function_takes_no_time(tree: Path) -> None:
    (tree / LIVE / "slow.tf").write_text("# file" + "/**/" * 5000 + "\n")
    assert check_source(tree, LIVE, PROVIDERS).files


def test_links_folders_and_pipes_are_refused(tree: Path) -> None:
    (tree / LIVE / "evil.tf").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="a link"):
        check_source(tree, LIVE, PROVIDERS)
    (tree / LIVE / "evil.tf").unlink()
    (tree / LIVE / "more").mkdir()
    with pytest.raises(Refused, match="a folder"):
        check_source(tree, LIVE, PROVIDERS)
    (tree / LIVE / "more").rmdir()
    (tree / "terraform/modules/zone").rename(tree / "elsewhere")
    (tree / "terraform/modules/zone").symlink_to(tree / "elsewhere")
    with pytest.raises(NotFound, match="not a folder of this repository"):
        check_source(tree, LIVE, PROVIDERS)


def test_a_root_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="terraform/live/none"):
        check_source(ROOT, "terraform/live/none", PROVIDERS)


@given(st.text(max_size=80) | st.text(alphabet='abc {}[]()"=\n$%<-', max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(hcl.parse(text), tuple)


WORDS = [
    "# keep the connection short",
    "# the old zone file (BIND)",
    "// a provisioner",
    "/* connection\n provisioner file ( */",
    'resource "cloudflare_dns_record" "w" {\n  comment = "for the websocket connection"\n}',
    'locals {\n  a = "call file (x) or provisioner \\" connection"\n}',
    'locals {\n  a = "${var.x} file (y)"\n}',
]


@pytest.mark.parametrize("words", WORDS)
def test_words_in_comments_and_texts_run_nothing(tree: Path, words: str) -> None:
    (tree / LIVE / "main.tf").write_text(GOOD + words + "\n")
    assert (GOOD + words + "\n").encode() in dict(check_source(tree, LIVE, PROVIDERS).files).values()


@pytest.mark.parametrize(
    "code",
    [
        'locals {\n  a = file("x")\n}',
        'locals {\n  a = "${file("x")}"\n}',
        'locals {\n  a = "a ${"b ${file("x")}"} c"\n}',
        'locals {\n  a = "%{ if file("x") == "" }y%{ endif }"\n}',
        'locals {\n  a = "x" # file\n  b = file("y")\n}',
        'locals {\n  a = "\\"" \n  b = file("y")\n}',
        'locals {\n  a = "//"\n  b = file("y")\n}',
        'locals {\n  a = "/*"\n  b = file("*/")\n}',
        'locals {\n  a = "$${file("y")}"\n}',
        'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}',
        'resource "terraform_data" "x" {\n  connection {\n    host = "x"\n  }\n}',
        'import {\n  to = evil_thing.x\n  id = "1"\n}',
        'import {\n  to = module.a.evil_thing.x\n  id = "1"\n}',
        'import {\n  to = module.a["x.cloudflare_zone"].evil_thing.x\n  id = "1"\n}',
        'import {\n  to = cloudflare_zone.x\n  id = "1"\n  provider = evil.x\n}',
        "removed {\n  from = evil_thing.x\n  lifecycle {\n    destroy = false\n  }\n}",
        "moved {\n  from = evil_thing.x\n  to = cloudflare_zone.x\n}",
        "moved {\n  from = cloudflare_zone.x\n  to = evil_thing.x\n}",
        "moved {\n  from = data.evil_thing.x\n  to = cloudflare_zone.x\n}",
    ],
)
def test_code_is_refused_wherever_it_stands(tree: Path, code: str) -> None:
    (tree / LIVE / "main.tf").write_text(GOOD + code + "\n")
    with pytest.raises(Refused):
        check_source(tree, LIVE, PROVIDERS)


@pytest.mark.parametrize(
    "code",
    [
        'import {\n  to = cloudflare_zone.x\n  id = "1"\n}',
        'import {\n  to = module.a["x"].cloudflare_zone.x\n  id = "1"\n}',
        "moved {\n  from = module.a\n  to = module.b\n}",
        'moved {\n  from = terraform_data.x\n  to = terraform_data.y["a"]\n}',
        "removed {\n  from = module.a\n  lifecycle {\n    destroy = false\n  }\n}",
    ],
)
def test_addresses_of_known_types_pass(tree: Path, code: str) -> None:
    (tree / LIVE / "main.tf").write_text(GOOD + code + "\n")
    assert (GOOD + code + "\n").encode() in dict(check_source(tree, LIVE, PROVIDERS).files).values()


@given(st.text(max_size=80) | st.text(alphabet='ab {}[]()"=\n$%/*#\\', max_size=60))
def test_code_has_no_more_than_its_file(text: str) -> None:
    try:
        code = hcl.code(text)
    except InvalidInput:
        return
    assert len(code) <= 2 * len(text) + 1
    assert "#" not in code
