"""transformers + PEFT, the base in 16 bits (fp32 on a CPU). rivals.py says the rest."""
import rivals


def load(options):
    model = rivals.with_lora(rivals.random_model(options))
    rivals.set_recompute(model, options.recompute)
    return model


if __name__ == "__main__":
    rivals.run("transformers+peft", load, rivals.options_of(rivals.__doc__))
