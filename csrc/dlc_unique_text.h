/* The different rows of strings. */
#ifndef DLC_UNIQUE_TEXT_H
#define DLC_UNIQUE_TEXT_H

#include "dlc_select.h"
#include "dlc_text.h"

DLC_SORT_ROWS(dlc_string, str)
#define dlc_order_rows_str dlc_sort_rows_str
DLC_UNIQUE(dlc_string, str)

#endif
