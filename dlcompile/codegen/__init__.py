"""From a program to C text: `generate` makes the project of a model's library."""
from dlcompile.codegen.csrc import csrc_digest, csrc_dir
from dlcompile.codegen.names import model_identifier
from dlcompile.codegen.project import Project, generate

__all__ = ["Project", "csrc_digest", "csrc_dir", "generate", "model_identifier"]
