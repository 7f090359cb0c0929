/* The text of each error: see lib/err.h. */
#include "lib/err.h"

const char *err_text(enum err e)
{
    switch (e) {
#define X(code, text)                                                                                                  \
    case code:                                                                                                         \
        return text;
        ERR_LIST(X)
#undef X
    }
    return "unknown error";
}
