"""transformers + PEFT + Liger's kernels: RoPE, RMSNorm, SwiGLU, fused linear cross entropy. rivals.py says the rest."""
from liger_kernel.transformers import apply_liger_kernel_to_llama

import rivals


def load(options):
    apply_liger_kernel_to_llama(rope=True, rms_norm=True, swiglu=True, cross_entropy=False, fused_linear_cross_entropy=True)
    model = rivals.with_lora(rivals.random_model(options))
    rivals.set_recompute(model, options.recompute)
    return model


if __name__ == "__main__":
    rivals.run("transformers+peft+liger", load, rivals.options_of(rivals.__doc__), ["liger_kernel"])
