#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/un.h>

// GNU extensions, which the headers show only to those who ask for them.
int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);
void *memmem(const void *, size_t, const void *, size_t);

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
