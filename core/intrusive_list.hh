/* Doubly linked lists whose links live in the elements.
 *
 * Nothing is allocated, so nothing can fail; an element leaves whichever list it is in, in O(1), without knowing which one that
 * is. An element can be in one list per tag. */
#pragma once

namespace kolk {

template <class Tag = void>
struct link {
    link *next = nullptr; /* nullptr: in no list */
    link *prev = nullptr; /* meaningless then */

    link() noexcept = default;
    link(const link &) = delete;
    link &operator=(const link &) = delete;

    [[nodiscard]] bool linked() const noexcept { return next != nullptr; }
    void unlink() noexcept {
        next->prev = prev;
        prev->next = next;
        next = nullptr;
    }
};

template <class T, class Tag = void>
class list {
  public:
    list() noexcept { head_.next = head_.prev = &head_; }

    [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
    [[nodiscard]] T *front() noexcept { return empty() ? nullptr : static_cast<T *>(head_.next); }
    /* Of a list that is not empty. */
    [[nodiscard]] T &first() noexcept { return *static_cast<T *>(head_.next); }
    /* The one that is so many places before the end, or nullptr. A list that is not much longer may be gone around. */
    template <int Places>
    [[nodiscard]] T *near_the_end() noexcept {
        link<Tag> *at = head_.prev;
        for (int i = 0; i < Places; i++)
            at = at->prev;
        return at == &head_ ? nullptr : static_cast<T *>(at);
    }
    [[nodiscard]] T *after(T &element) noexcept {
        link<Tag> *next = static_cast<link<Tag> &>(element).next;
        return next == &head_ ? nullptr : static_cast<T *>(next);
    }

    void push_back(T &element) noexcept {
        link<Tag> &node = element;
        node.prev = head_.prev;
        node.next = &head_;
        head_.prev->next = &node;
        head_.prev = &node;
    }

    void push_front(T &element) noexcept {
        link<Tag> &node = element;
        node.next = head_.next;
        node.prev = &head_;
        head_.next->prev = &node;
        head_.next = &node;
    }

    [[nodiscard]] T *pop_front() noexcept { return empty() ? nullptr : &take_first(); }
    /* Of a list that is not empty. */
    T &take_first() noexcept {
        link<Tag> *first = head_.next;
        link<Tag> *second = first->next;
        second->prev = &head_;
        head_.next = second;
        first->next = nullptr;
        return *static_cast<T *>(first);
    }

    /* All of `other`, in its order, behind or before what is here. */
    void append(list &other) noexcept { insert(*head_.prev, head_, other); }
    void prepend(list &other) noexcept { insert(head_, *head_.next, other); }
    /* The same where this is empty and the other is not. */
    void take(list &other) noexcept {
        link<Tag> *first = other.head_.next, *last = other.head_.prev;
        other.head_.next = other.head_.prev = &other.head_;
        first->prev = last->next = &head_;
        head_.next = first;
        head_.prev = last;
    }

  private:
    static void insert(link<Tag> &left, link<Tag> &right, list &other) noexcept {
        if (other.empty())
            return;
        left.next = other.head_.next;
        left.next->prev = &left;
        right.prev = other.head_.prev;
        right.prev->next = &right;
        other.head_.next = other.head_.prev = &other.head_;
    }

    link<Tag> head_;
};

} // namespace kolk
