/* The two rings of the guest's console. See guest_console.h. */
#include "kernel/vm/guest_console.h"

#include "lib/bits.h"
#include "lib/lock.h"

#define HELD_BYTES 1024u /* that are looked through while the guest's side waits */

/* All of it under the lock. `began`: what earlier guests had said. */
static struct spin lock;
static char output[GUEST_OUTPUT_BYTES];
static u64 began, said;
static char input[GUEST_INPUT_BYTES];
static u64 typed, taken;

static void (*input_arrived)(void);

_Static_assert((GUEST_OUTPUT_BYTES & (GUEST_OUTPUT_BYTES - 1)) == 0 &&
                   (GUEST_INPUT_BYTES & (GUEST_INPUT_BYTES - 1)) == 0,
               "positions may wrap");

void guest_console_reset(void)
{
    spin_lock(&lock);
    if (said > began && output[(said - 1) % GUEST_OUTPUT_BYTES] != '\n')
        output[said++ % GUEST_OUTPUT_BYTES] = '\n';
    began = said;
    taken = typed;
    spin_unlock(&lock);
}

/* --- the guest's side --- */

void guest_console_put(u8 byte)
{
    spin_lock(&lock);
    output[said++ % GUEST_OUTPUT_BYTES] = (char)byte;
    spin_unlock(&lock);
}

int guest_console_peek(void)
{
    spin_lock(&lock);
    int byte = taken != typed ? (u8)input[taken % GUEST_INPUT_BYTES] : -1;
    spin_unlock(&lock);
    return byte;
}

int guest_console_take(void)
{
    spin_lock(&lock);
    int byte = taken != typed ? (u8)input[taken++ % GUEST_INPUT_BYTES] : -1;
    spin_unlock(&lock);
    return byte;
}

void guest_console_on_input(void (*arrived)(void))
{
    input_arrived = arrived;
}

/* --- Septum's side --- */

size_t guest_console_type(const char *bytes, size_t count)
{
    size_t n = 0;

    spin_lock(&lock);
    while (n < count && typed - taken < GUEST_INPUT_BYTES)
        input[typed++ % GUEST_INPUT_BYTES] = bytes[n++];
    spin_unlock(&lock);
    if (n > 0 && input_arrived != NULL)
        input_arrived();
    return n;
}

u64 guest_console_end(void)
{
    spin_lock(&lock);
    u64 end = said;
    spin_unlock(&lock);
    return end;
}

u64 guest_console_begin(void)
{
    return began;
}

static u64 oldest(void)
{
    return said - min_u64(said, GUEST_OUTPUT_BYTES);
}

/* Moves a place behind what is not kept any longer. */
static void catch_up(struct guest_place *place)
{
    u64 first = oldest();

    if (place->at >= first)
        return;
    place->missed += first - place->at;
    place->at = first;
}

u64 guest_console_line(u64 at, unsigned before)
{
    spin_lock(&lock);
    u64 first = max_u64(oldest(), began);
    at = max_u64(min_u64(at, said), first);
    while (at > first && (output[(at - 1) % GUEST_OUTPUT_BYTES] != '\n' || before-- > 0))
        at--;
    spin_unlock(&lock);
    return at;
}

size_t guest_console_read(struct guest_place *place, char *to, size_t bytes)
{
    size_t n = 0;

    spin_lock(&lock);
    catch_up(place);
    while (n < min_u64(bytes, HELD_BYTES) && place->at < said)
        to[n++] = output[place->at++ % GUEST_OUTPUT_BYTES];
    spin_unlock(&lock);
    return n;
}

static bool is_at(u64 at, const char *text, size_t bytes)
{
    size_t n = 0;

    while (n < bytes && output[(at + n) % GUEST_OUTPUT_BYTES] == text[n])
        n++;
    return n == bytes;
}

/* One turn at the lock. False: there is more to look through. */
static bool look(struct guest_place *place, const char *text, size_t bytes, bool *found)
{
    *found = false;
    catch_up(place);
    for (unsigned n = 0; place->at + bytes <= said && n < HELD_BYTES; n++) {
        *found = is_at(place->at, text, bytes);
        place->at += *found ? bytes : 1;
        if (*found)
            return true;
    }
    return place->at + bytes > said;
}

bool guest_console_find(struct guest_place *place, const char *text, size_t bytes)
{
    u64 end = guest_console_end();
    bool found, done = false;

    while (!done) {
        spin_lock(&lock);
        done = look(place, text, bytes, &found) || place->at >= end;
        spin_unlock(&lock);
    }
    return found;
}
