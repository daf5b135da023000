// What a library file may use to define `Op <name>()`, or a family: `std::vector<Op> <name>()`.
#pragma once

#include <vector>

#include "core/cat.h"
#include "ops/op.h"
