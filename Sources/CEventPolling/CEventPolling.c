#include "CEventPolling.h"
