/* Variables of a task, shared with the tasks it makes until either sets one.
 *
 * A counted array of keys and counted values: inheriting takes a reference, setting copies the array if somebody else has it.
 */
#pragma once

#include "core/loop/loop.hh"

namespace kolk {

class alignas(void *) local_values {
  public:
    [[nodiscard]] static local_values *with_room_for(loop &on, uint32_t capacity) noexcept;

    [[nodiscard]] local_values &ref() noexcept {
        refs_++;
        return *this;
    }
    void unref(loop &on) noexcept;

    [[nodiscard]] bool find(const void *key, void *&ret_value) const noexcept;

    /* Sets one in `values`, which it replaces when it is shared, too small, or not there. 0 or KOLK_ENOMEM. */
    [[nodiscard]] static int set(loop &on, local_values *&values, const void *key, void *value,
                                 kolk_destroy_fn destroy) noexcept;

  private:
    struct variable {
        void *value;
        kolk_destroy_fn destroy;
        uint32_t refs = 1; /* arrays that it is in */

        variable(void *what, kolk_destroy_fn release) noexcept : value(what), destroy(release) {}
    };
    struct entry {
        const void *key;
        variable *what;
    };

    explicit local_values(uint32_t capacity) noexcept : capacity_(capacity) {}
    [[nodiscard]] entry *entries() noexcept { return reinterpret_cast<entry *>(this + 1); }
    [[nodiscard]] const entry *entries() const noexcept { return reinterpret_cast<const entry *>(this + 1); }
    static size_t bytes(uint32_t capacity) noexcept { return sizeof(local_values) + capacity * sizeof(entry); }
    static void drop(loop &on, variable *what) noexcept;

    uint32_t refs_ = 1;
    uint32_t count_ = 0;
    uint32_t capacity_;
};

} // namespace kolk
