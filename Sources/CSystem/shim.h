#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

// GNU extensions, which the headers show only to those who ask for them.
int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);
void *memmem(const void *, size_t, const void *, size_t);
int pipe2(int[2], int);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *__restrict, const char *__restrict);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
int syncfs(int);

// A descriptor of a process, readable when it has ended; close-on-exec. Linux 5.3; glibc has it from 2.36.
static inline int weir_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

// The user of a Unix socket's peer; -1 on failure. `struct ucred` of Linux: pid, uid, gid.
static inline long weir_peer_user(int socket) {
  struct { pid_t process; uid_t user; gid_t group; } peer;
  socklen_t length = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? (long)peer.user : -1;
}

enum {
  weir_socket_stream = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
  weir_accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC,
  weir_timer_flags = TFD_NONBLOCK | TFD_CLOEXEC,
  weir_event_flags = EFD_NONBLOCK | EFD_CLOEXEC,
  weir_signal_flags = SFD_NONBLOCK | SFD_CLOEXEC,
  weir_epoll_in = EPOLLIN,
  weir_epoll_out = EPOLLOUT,
  weir_epoll_error = EPOLLERR,
  weir_epoll_hangup = EPOLLHUP,
  weir_epoll_peer_closed = EPOLLRDHUP,
};

// Two names change places in one step; -1 and errno on failure. Linux 3.15; the C library has no name for it everywhere.
static inline int weir_exchange(const char *a, const char *b) {
  return (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, a, -100, b, 2 /* RENAME_EXCHANGE */);
}
