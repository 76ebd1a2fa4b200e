/* The same comparison with torch.optim in double: the formulas, without the rounding of floats. */
#include "golden/test_optim_torch.c"
