/*
 * Leaf numbers by the names that the records use. The runner's own copy: it must not take a wrong number from the
 * model.
 */
#include "tests/conformance/conformance.h"

#include <string.h>

/* clang-format off */
static const struct {
    const char *name;
    unsigned number;
} leaves[] = {
    {"TDH.VP.ENTER", 0},
    {"TDH.MNG.ADDCX", 1},
    {"TDH.MEM.PAGE.ADD", 2},
    {"TDH.MEM.SEPT.ADD", 3},
    {"TDH.VP.ADDCX", 4},
    {"TDH.MEM.PAGE.RELOCATE", 5},
    {"TDH.MEM.PAGE.AUG", 6},
    {"TDH.MEM.RANGE.BLOCK", 7},
    {"TDH.MNG.KEY.CONFIG", 8},
    {"TDH.MNG.CREATE", 9},
    {"TDH.VP.CREATE", 10},
    {"TDH.MNG.RD", 11},
    {"TDH.MEM.RD", 12},
    {"TDH.MNG.WR", 13},
    {"TDH.MEM.WR", 14},
    {"TDH.MEM.PAGE.DEMOTE", 15},
    {"TDH.MR.EXTEND", 16},
    {"TDH.MR.FINALIZE", 17},
    {"TDH.VP.FLUSH", 18},
    {"TDH.MNG.VPFLUSHDONE", 19},
    {"TDH.MNG.KEY.FREEID", 20},
    {"TDH.MNG.INIT", 21},
    {"TDH.VP.INIT", 22},
    {"TDH.MEM.PAGE.PROMOTE", 23},
    {"TDH.PHYMEM.PAGE.RDMD", 24},
    {"TDH.MEM.SEPT.RD", 25},
    {"TDH.VP.RD", 26},
    {"TDH.MNG.KEY.RECLAIMID", 27},
    {"TDH.PHYMEM.PAGE.RECLAIM", 28},
    {"TDH.MEM.PAGE.REMOVE", 29},
    {"TDH.MEM.SEPT.REMOVE", 30},
    {"TDH.SYS.KEY.CONFIG", 31},
    {"TDH.SYS.INFO", 32},
    {"TDH.SYS.INIT", 33},
    {"TDH.SYS.RD", 34},
    {"TDH.SYS.LP.INIT", 35},
    {"TDH.SYS.TDMR.INIT", 36},
    {"TDH.SYS.RDALL", 37},
    {"TDH.MEM.TRACK", 38},
    {"TDH.MEM.RANGE.UNBLOCK", 39},
    {"TDH.PHYMEM.CACHE.WB", 40},
    {"TDH.PHYMEM.PAGE.WBINVD", 41},
    {"TDH.VP.WR", 43},
    {"TDH.SYS.LP.SHUTDOWN", 44},
    {"TDH.SYS.CONFIG", 45},
    {"TDH.SERVTD.BIND", 48},
    {"TDH.SERVTD.PREBIND", 49},
    {"TDH.SYS.SHUTDOWN", 52},
    {"TDH.SYS.UPDATE", 53},
    {"TDG.VP.VMCALL", 0},
    {"TDG.VP.INFO", 1},
    {"TDG.MR.RTMR.EXTEND", 2},
    {"TDG.VP.VEINFO.GET", 3},
    {"TDG.MR.REPORT", 4},
    {"TDG.VP.CPUIDVE.SET", 5},
    {"TDG.MEM.PAGE.ACCEPT", 6},
    {"TDG.VM.RD", 7},
    {"TDG.VM.WR", 8},
    {"TDG.VP.RD", 9},
    {"TDG.VP.WR", 10},
    {"TDG.SYS.RD", 11},
    {"TDG.SYS.RDALL", 12},
    {"TDG.SERVTD.RD", 18},
    {"TDG.SERVTD.WR", 20},
    {"TDG.MR.VERIFYREPORT", 22},
    {"TDG.MEM.PAGE.ATTR.RD", 23},
    {"TDG.MEM.PAGE.ATTR.WR", 24},
    {"TDG.VP.ENTER", 25},
    {"TDG.VP.INVEPT", 26},
    {"TDG.VP.INVVPID", 27},
};
/* clang-format on */

bool conf_leaf_number(const char *text, unsigned *number)
{
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        size_t length = strlen(leaves[i].name);
        if (strncmp(text, leaves[i].name, length) == 0 && (text[length] == 0 || text[length] == ' ')) {
            *number = leaves[i].number;
            return true;
        }
    }
    return false;
}
