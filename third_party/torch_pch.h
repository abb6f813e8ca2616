// The heavy torch headers, compiled once. Never torch/torch.h: it costs 11 s and 1.3 GB a file.
#pragma once
#include "plain_pch.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
