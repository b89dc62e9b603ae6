// A service that grows: of ten sessions that end, one stays in the table. docs/PROFILING.md finds it.

#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct Session {
    std::string user;
    std::vector<char> history;
};

class Server {
  public:
    __attribute__((noinline)) void open(int id) {
        Session &session = sessions[id];
        session.user = "user number " + std::to_string(id) + " of this service";
        session.history.resize(2000); // SITE open
    }

    __attribute__((noinline)) std::size_t serve(int id) {
        std::string page = render(id);
        return page.size();
    }

    __attribute__((noinline)) void close(int id) {
        if (id % 10 != 0) // the mistake
            sessions.erase(id);
    }

  private:
    __attribute__((noinline)) std::string render(int id) {
        std::string page = "<html>";
        for (int row = 0; row < 20; row++)
            page += "<p>" + sessions[id].user + "</p>";
        return page;
    }

    std::unordered_map<int, Session> sessions;
};

static void work(int first, int count) {
    Server *server = new Server;
    std::size_t sent = 0;
    for (int id = first; id < first + count; id++) {
        server->open(id);
        sent += server->serve(id);
        server->close(id);
    }
    if (sent == 0)
        std::puts("nothing sent");
    // A service ends with its tables full.
}

int main(int argc, char **argv) {
    int count = argc > 1 ? std::atoi(argv[1]) : 20000;
    std::vector<char> settings(3 << 20, 'x'); // held from the start, as it should be
    std::thread first([count] {
        pthread_setname_np(pthread_self(), "worker-1");
        work(0, count);
    });
    std::thread second([count] {
        pthread_setname_np(pthread_self(), "worker-2");
        work(1000000, count);
    });
    first.join();
    second.join();
    return settings[0] == 'x' ? 0 : 1;
}
